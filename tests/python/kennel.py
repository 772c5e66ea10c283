"""An application of the library `eventsourcing`, to be imported: kennel.py PLACE DOGS TRICKS [compressed] [encrypted].

PLACE is an SQLite file, or a PostgreSQL database with a schema, postgres://USER@HOST:PORT/DATABASE?schema=SCHEMA.

Each dog learns its tricks, dog by dog, so that there are DOGS * (TRICKS + 1) events.
"""

import sys
import urllib.parse
from decimal import Decimal

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Dog(Aggregate):
    @event("Registered")
    def __init__(self, name):
        self.name = name
        self.tricks = []

    @event("TrickAdded")
    def add_trick(self, trick, price):
        self.tricks.append(trick)


# The topics of a module, and not those of a script.
Dog.__module__ = "kennel"
sys.modules["kennel"] = sys.modules["__main__"]
for of_dog in (Dog.Registered, Dog.TrickAdded):
    of_dog.__module__ = "kennel"


class Kennel(Application):
    is_snapshotting_enabled = True


def database(place):
    if not place.startswith("postgres:"):
        return {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": place}
    url = urllib.parse.urlsplit(place)
    schema = urllib.parse.parse_qs(url.query)["schema"][0]
    import psycopg

    with psycopg.connect(place.partition("?")[0]) as connection:
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_HOST": url.hostname,
        "POSTGRES_PORT": str(url.port or 5432),
        "POSTGRES_USER": url.username,
        "POSTGRES_PASSWORD": url.password or "",
        "POSTGRES_DBNAME": url.path.removeprefix("/"),
        "POSTGRES_SCHEMA": schema,
    }


def main(place, n_dogs, n_tricks, *modes):
    env = database(place)
    if "compressed" in modes:
        env["COMPRESSOR_TOPIC"] = "zlib"
    if "encrypted" in modes:
        env["CIPHER_TOPIC"] = "eventsourcing.cipher:AESCipher"
        env["CIPHER_KEY"] = "AAECAwQFBgcICQoLDA0ODw=="
    kennel = Kennel(env=env)
    for i in range(int(n_dogs)):
        dog = Dog(f"dog {i}")
        for j in range(int(n_tricks)):
            dog.add_trick(f"trick {j}", Decimal("1.50"))
        kennel.save(dog)
        kennel.take_snapshot(dog.id)
    kennel.close()


main(*sys.argv[1:])
