"""Values with types of their own, by the transcoder of the library `eventsourcing`, version 9.

values_9.py serve FILE prints the address of the log of an application that has registered one dog.
values_9.py follow URL follows the box vet at URL, and prints the values that it reads there.
"""

import sys
from datetime import date, datetime, timezone
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import UUID

import requests
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, DomainEvent, event
from eventsourcing.interface import (
    NotificationLogInterface,
    NotificationLogJSONClient,
    NotificationLogJSONService,
)
from eventsourcing.persistence import Transcoding
from eventsourcing.system import ProcessApplication
from eventsourcing.utils import register_topic


class Email:
    def __init__(self, address):
        self.address = address

    def __repr__(self):
        return f"Email({self.address!r})"


class EmailAsStr(Transcoding):
    type = Email
    name = "email_as_str"

    def encode(self, obj):
        return obj.address

    def decode(self, data):
        return Email(data)


class DateAsISO(Transcoding):
    type = date
    name = "date_iso"

    def encode(self, obj):
        return obj.isoformat()

    def decode(self, data):
        return date.fromisoformat(data)


# JSON has a form for tuples, so the library's encoder asks nobody about them: a pair is a type of its own.
class Pair:
    def __init__(self, first, second):
        self.both = (first, second)

    def __repr__(self):
        return f"Pair{self.both!r}"


class PairAsList(Transcoding):
    type = Pair
    name = "pair_as_list"

    def encode(self, obj):
        return list(obj.both)

    def decode(self, data):
        return Pair(*data)


class SetAsList(Transcoding):
    type = set
    name = "set_as_list"

    def encode(self, obj):
        return sorted(obj, key=repr)

    def decode(self, data):
        return set(data)


class Transcodings:
    def register_transcodings(self, transcoder):
        super().register_transcodings(transcoder)
        for transcoding in (EmailAsStr, DateAsISO, PairAsList, SetAsList):
            transcoder.register(transcoding())


class Dog(Aggregate):
    @event("Registered")
    def __init__(self, chip, price, born, seen, owner, friends):
        self.chip = chip


# The topic of a module, and not that of a script.
Dog.Registered.__module__ = "kennel"


class Kennel(Transcodings, Application):
    pass


def serve(file):
    app = Kennel(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": file})
    service = NotificationLogJSONService(app)
    chips = [UUID(int=n) for n in range(5)]
    app.save(
        Dog(
            chip=chips[0],
            price=Decimal("12.50"),
            born=date(2026, 1, 2),
            seen=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc),
            owner=Email("ann@example.org"),
            friends={Pair(chips[1], chips[2]), Pair(chips[3], chips[4])},
        )
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = service.get_log_section(self.path.rsplit("/", 1)[1]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


class Box(NotificationLogInterface):
    def __init__(self, url):
        self.url = f"{url}/compat/eventsourcing-9"

    def get_log_section(self, section_id):
        return self.get(f"{self.url}/{section_id}")

    def get_notifications(self, start, limit, topics=(), *, inclusive_of_start=True):
        query = {"start": start, "limit": limit, "topic": topics, "inclusive_of_start": inclusive_of_start}
        return self.get(self.url, query)

    def get(self, url, query=None):
        answer = requests.get(url, query, timeout=30)
        answer.raise_for_status()
        return answer.text


class Visited(DomainEvent):
    """An event of the box."""


register_topic("vet.dog.visited", Visited)


class Printing(Transcodings, ProcessApplication):
    topics = ["vet.dog.visited"]

    def policy(self, domain_event, processing_event):
        values = {**vars(domain_event), **vars(domain_event)["anything"]}
        for name in ("chip", "price", "born", "seen", "owner", "friends"):
            value = values[name]
            shown = sorted(value, key=repr) if isinstance(value, set) else value
            print(name, type(value).__name__, repr(shown))


def follow(url):
    app = Printing()
    app.follow("vet", NotificationLogJSONClient(Box(url)))
    app.pull_and_process("vet")


{"serve": serve, "follow": follow}[sys.argv[1]](sys.argv[2])
