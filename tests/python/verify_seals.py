"""Verifies the seals of a log by what crates/integrity/README.md says, up to the first page without one.

Arguments: the address of the log, and the public key in hexadecimal digits. The states have to be plain JSON.
"""

import datetime
import hashlib
import json
import struct
import sys
import uuid

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

url, key = sys.argv[1], Ed25519PublicKey.from_public_bytes(bytes.fromhex(sys.argv[2]))


def part(data):
    return struct.pack(">Q", len(data)) + data


def digest(label, *parts):
    return hashlib.sha256(label + b"\0" + b"".join(parts)).digest()


def raw(page, name, place):
    """The value of a member as it stands in the page, byte for byte."""
    start = -1
    for _ in range(place + 1):
        start = page.index(f'"{name}":', start + 1)
    start += len(name) + 3
    _, end = json.JSONDecoder().raw_decode(page[start:])
    return page[start : start + end].encode()


log = requests.get(url + "/log").json()
identity = part(log["name"].encode()) + uuid.UUID(log["epoch"]).bytes + struct.pack(">I", log["page_size"])
chain = digest(b"boxes.log.1", identity)
epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
low, size = 1, log["page_size"]
while True:
    high = low + size - 1
    answer = requests.get(f"{url}/{low},{high}/seal")
    if answer.status_code == 404:
        break
    seal = answer.json()
    before = chain
    page = requests.get(f"{url}/{low},{high}").text
    for place, item in enumerate(json.loads(page)["items"]):
        content = digest(
            b"boxes.content.1",
            part(item.get("content_encoding", "json").encode()),
            part(raw(page, "state", place)),
            part(raw(page, "metadata", place)),
        )
        occurred_on = datetime.datetime.fromisoformat(item["occurred_on"]) - epoch
        event = digest(
            b"boxes.event.1",
            uuid.UUID(item["event_id"]).bytes,
            uuid.UUID(item["originator_id"]).bytes,
            struct.pack(">Q", item["originator_version"]),
            part(item["topic"].encode()),
            struct.pack(">I", item["version"]),
            struct.pack(">q", occurred_on // datetime.timedelta(microseconds=1)),
            content,
        )
        assert seal["events"][place] == {"event": event.hex(), "content": content.hex()}, item["id"]
        chain = digest(b"boxes.chain.1", chain, struct.pack(">Q", item["id"]), event)
    assert (seal["previous"], seal["hash"]) == (before.hex(), chain.hex()), low
    signed = b"boxes.seal.1\0" + identity + struct.pack(">QQ", low, high) + before + chain
    key.verify(bytes.fromhex(seal["signature"]), signed)
    low = high + 1
print(f"1 to {low - 1}")
