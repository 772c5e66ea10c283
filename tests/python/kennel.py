"""An application of the library `eventsourcing`, to be imported: kennel.py FILE DOGS TRICKS [compressed].

Each dog learns its tricks, dog by dog, so that there are DOGS * (TRICKS + 1) events.
"""

import sys
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


def main(file, n_dogs, n_tricks, *modes):
    env = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": file}
    if "compressed" in modes:
        env["COMPRESSOR_TOPIC"] = "zlib"
    kennel = Kennel(env=env)
    for i in range(int(n_dogs)):
        dog = Dog(f"dog {i}")
        for j in range(int(n_tricks)):
            dog.add_trick(f"trick {j}", Decimal("1.50"))
        kennel.save(dog)
        kennel.take_snapshot(dog.id)
    kennel.close()


main(*sys.argv[1:])
