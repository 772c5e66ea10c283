"""Prints the events of a batch, one a line, as the CloudEvents SDK understands them: cloud_events.py URL"""

import json
import sys

import requests
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

answer = requests.get(sys.argv[1], headers={"Accept": "application/cloudevents-batch+json"}, timeout=30)
answer.raise_for_status()
for element in answer.json():
    # The SDK reads single events, and refuses attributes that the specification does not allow.
    event = JSONFormat().read(CloudEvent, json.dumps(element))
    print(
        json.dumps(
            [
                event.get_id(),
                event.get_source(),
                event.get_type(),
                event.get_subject(),
                event.get_time().isoformat(),
                event.get_extension("sequence"),
                event.get_data(),
            ]
        )
    )
