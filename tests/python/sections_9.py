"""Prints a log's sections, one a line, as version 9 of the library understands them: sections_9.py URL SECTION_ID"""

import json
import sys

import requests
from eventsourcing.interface import NotificationLogInterface, NotificationLogJSONClient


class Box(NotificationLogInterface):
    def get_log_section(self, section_id):
        answer = requests.get(f"{sys.argv[1]}/compat/eventsourcing-9/{section_id}", timeout=30)
        answer.raise_for_status()
        return answer.text

    def get_notifications(self, *args, **kwargs):
        raise NotImplementedError


log = NotificationLogJSONClient(Box())
section_id = sys.argv[2]
while section_id:
    section = log[section_id]
    items = [
        [n.id, str(n.originator_id), n.originator_version, n.topic, json.loads(n.state)]
        for n in section.items
    ]
    print(json.dumps([section.id, items]))
    section_id = section.next_id
