"""Prints the entries of a log, one a line, as feedparser finds them from archive to archive: feed.py URL"""

import json
import sys

import feedparser

url, n_documents = sys.argv[1], 0
while url:
    # By its own Accept header, which asks for Atom.
    document = feedparser.parse(url)
    if document.bozo:
        raise document.bozo_exception
    n_documents += 1
    for entry in document.entries:
        (content,) = entry.content
        print(json.dumps([document.feed.id, entry.id, entry.title, entry.updated, json.loads(content.value)]))
    ways = [link.href for link in document.feed.links if link.rel == "prev-archive"]
    url = ways[0] if ways else None
print(json.dumps(n_documents))
