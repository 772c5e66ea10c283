"""Prints a log's notifications, one a line, as version 8 of the library reads them: read_8.py URL [POSITION]"""

import json
import sys

from eventsourcing.application.notificationlog import NotificationLogReader
from eventsourcing.interface.notificationlog import RemoteNotificationLog

log = RemoteNotificationLog(f"{sys.argv[1]}/compat/eventsourcing-8")
reader = NotificationLogReader(log)
reader.seek(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
print("section size", log.section_size)
for n in reader.read():
    print(
        json.dumps(
            [n["id"], str(n["originator_id"]), n["originator_version"], n["topic"], json.loads(n["state"])]
        )
    )
print("position", reader.position)
