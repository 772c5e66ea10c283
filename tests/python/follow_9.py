"""Follows the box orders: python follow_9.py http://localhost:8080/orders"""

import sys
from functools import singledispatchmethod

import requests
from eventsourcing.domain import Aggregate, DomainEvent
from eventsourcing.interface import NotificationLogInterface, NotificationLogJSONClient
from eventsourcing.system import ProcessApplication
from eventsourcing.utils import register_topic


class Box(NotificationLogInterface):
    """How the library reaches the box."""

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


class Placed(DomainEvent):
    """An event of the box, by its topic: of its state, what is of interest here."""

    customer: str


register_topic("orders.order.placed", Placed)


class Greeting(Aggregate):
    def __init__(self, customer):
        self.customer = customer


class Greetings(ProcessApplication):
    """Greets who has ordered. Its own events and its position in the box's log are saved together."""

    topics = ["orders.order.placed"]

    @singledispatchmethod
    def policy(self, domain_event, processing_event):
        pass

    @policy.register
    def _(self, placed: Placed, processing_event):
        processing_event.collect_events(Greeting(placed.customer))


app = Greetings()
app.follow("orders", NotificationLogJSONClient(Box(sys.argv[1])))
app.pull_and_process("orders")
for greeting in app.recorder.select_notifications(start=1, limit=1000):
    print("Hello", app.mapper.to_domain_event(greeting).customer)
print("read to", app.recorder.max_tracking_id("orders"))
