"""Holds the descriptions of a box to the schemas of their formats, and its events to the descriptions: python descriptions.py http://localhost:8080/orders"""

import json
import pathlib
import sys

import jsonschema
import requests
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT7

SCHEMA = pathlib.Path(__file__).parent / "asyncapi-3.0.0.json"


def get(url):
    answer = requests.get(url, timeout=30)
    answer.raise_for_status()
    return answer.json()


def mistakes(errors):
    return [f"{error.json_path}: {error.message[:200]}" for error in errors]


open_api = get(f"{sys.argv[1]}/openapi.json")
print("openapi", mistakes(OpenAPIV31SpecValidator(open_api).iter_errors()))
async_api = get(f"{sys.argv[1]}/asyncapi.json")
schema = json.loads(SCHEMA.read_text())
print("asyncapi", mistakes(jsonschema.Draft7Validator(schema).iter_errors(async_api)))

# Each event is what the message of its topic and version says, and would not be with another state.
registry = Registry().with_resource("urn:asyncapi", DRAFT7.create_resource(async_api))


def message_of(event):
    key = f"{event['topic']}.v{event['version']}"
    payload = {"$ref": f"urn:asyncapi#/components/messages/{key}/payload"}
    return jsonschema.Draft7Validator(payload, registry=registry)


events = get(f"{sys.argv[1]}/notifications/1,20")["items"]
wrong = [mistake for event in events for mistake in mistakes(message_of(event).iter_errors(event))]
taken = [event["topic"] for event in events if message_of(event).is_valid({**event, "state": 7})]
print("events", wrong, taken, len(events))
