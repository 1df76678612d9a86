"""Whether a document is AsyncAPI 3: the rules of the specification that ours makes use of, and that its parts fit.

https://www.asyncapi.com/docs/reference/specification/v3.0.0. The official JSON Schema is in a package of npm, and
in none that we found on PyPI: `python -m devstack.events.official` checks against it. This check needs nothing but
jsonschema. It is stricter, as ours is narrower: a word that is not in `asyncapi_structure.json` is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, FormatChecker

STRUCTURE = Path(__file__).parent / "asyncapi_structure.json"

Document = Mapping[str, Any]


def errors(document: Document) -> list[str]:
    """What is wrong with the document, each with its place; empty for a valid one."""
    structure = Draft7Validator(json.loads(STRUCTURE.read_text()))
    found = [f"{_place(error.absolute_path)}: {error.message}" for error in structure.iter_errors(document)]
    if not found:
        found = [*_dead_references(document, document), *_of_channels(document), *_of_payloads(document)]
    return found


def payload_validator(document: Document, message: str) -> Draft7Validator:
    """Checks the payload of one of the document's messages, named as in `components.messages`."""
    schema = {**document["components"]["messages"][message]["payload"], "components": document["components"]}
    return Draft7Validator(schema, format_checker=FormatChecker())


def _place(path: Any) -> str:
    return "/".join(map(str, path)) or "the document"


def _dead_references(document: Document, part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str) and resolved(document, part["$ref"]) is None:
            yield f"{part['$ref']}: leads nowhere"
        for one in part.values():
            yield from _dead_references(document, one)
    elif isinstance(part, list):
        for one in part:
            yield from _dead_references(document, one)


def resolved(document: Document, reference: str) -> Any:
    """What a reference inside the document leads to; None where it leads nowhere."""
    found: Any = document
    for name in reference.removeprefix("#/").split("/"):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _of_channels(document: Document) -> Iterator[str]:
    """The address's parameters are those that are described; what a channel sends and where exists."""
    for name, channel in document["channels"].items():
        placed = {part.partition("}")[0] for part in channel["address"].split("{")[1:]}
        if placed != set(channel.get("parameters", {})):
            yield f"channels/{name}: the address has other parameters than are described"
        for server in channel["servers"]:
            if not server["$ref"].startswith("#/servers/"):
                yield f"channels/{name}: {server['$ref']} is no server"
        for message in channel["messages"].values():
            if not message["$ref"].startswith("#/components/messages/"):
                yield f"channels/{name}: {message['$ref']} is no message"
    for name, operation in document["operations"].items():
        if not operation["channel"]["$ref"].startswith("#/channels/"):
            yield f"operations/{name}: {operation['channel']['$ref']} is no channel"


def _of_payloads(document: Document) -> Iterator[str]:
    """Every schema is one, and every example fits the schema of its message."""
    for name, schema in document["components"]["schemas"].items():
        for error in Draft7Validator(Draft7Validator.META_SCHEMA).iter_errors(schema):
            yield f"components/schemas/{name}/{_place(error.absolute_path)}: {error.message}"
    for name, message in document["components"]["messages"].items():
        validator = payload_validator(document, name)
        for example in message["examples"]:
            for error in validator.iter_errors(example["payload"]):
                yield f"components/messages/{name}/examples: {_place(error.absolute_path)}: {error.message}"
