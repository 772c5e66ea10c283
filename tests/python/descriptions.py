"""Holds the descriptions of a box to the schemas of their formats: python descriptions.py http://localhost:8080/orders"""

import json
import pathlib
import sys

import jsonschema
import requests
from openapi_spec_validator import OpenAPIV31SpecValidator

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
