"""Serves the log of an application of the library `eventsourcing`, version 9, as the library's own service gives it.

serve_9.py FILE prints the address of the log. POST /dogs/{n} lets n dogs be registered, POST /forget/{id} leaves a gap.
"""

import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.interface import NotificationLogJSONService


class Dog(Aggregate):
    @event("Registered")
    def __init__(self, name):
        self.name = name


# The topic of a module, and not that of a script.
Dog.Registered.__module__ = "kennel"

app = Application(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": sys.argv[1]})
service = NotificationLogJSONService(app)
n_dogs = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        _, resource, section_id = self.path.split("/")
        assert resource == "notifications"
        self.answer(service.get_log_section(section_id))

    def do_POST(self):
        global n_dogs
        _, what, n = self.path.split("/")
        if what == "dogs":
            for _ in range(int(n)):
                app.save(Dog(f"dog {n_dogs}"))
                n_dogs += 1
        else:
            with sqlite3.connect(sys.argv[1]) as connection:
                connection.execute("delete from stored_events where rowid = ?", [n])
            connection.close()
        self.answer("null")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
