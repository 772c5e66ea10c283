"""Serves the log of an application of the library `eventsourcing`, version 8, as the library's own view gives it.

serve_8.py prints the address of the log. POST /dogs/{n} lets n dogs be registered.
"""

from http.server import BaseHTTPRequestHandler, HTTPServer

from eventsourcing.application.popo import PopoApplication
from eventsourcing.domain.model.aggregate import BaseAggregateRoot
from eventsourcing.interface.notificationlog import NotificationLogView
from eventsourcing.utils.transcoding import ObjectJSONEncoder


class Dog(BaseAggregateRoot):
    __subclassevents__ = True

    def __init__(self, name, **kwargs):
        super().__init__(**kwargs)
        self.name = name


app = PopoApplication(name="kennel", persist_event_type=BaseAggregateRoot.Event)
view = NotificationLogView(app.notification_log, ObjectJSONEncoder())
n_dogs = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        _, resource, section_id, end = self.path.split("/")
        assert (resource, end) == ("notifications", "")
        self.answer(view.present_resource(section_id))

    def do_POST(self):
        global n_dogs
        for _ in range(int(self.path.rsplit("/", 1)[1])):
            Dog.__create__(name=f"dog {n_dogs}").__save__()
            n_dogs += 1
        self.answer(b"null")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
