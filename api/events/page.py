"""The page `/events`: every event with its fields and an example, for people. Made of the registry."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from adapters.bus.port import PARTITIONS, STREAM, TOPIC
from api.events.asyncapi import as_sent, schema_key
from domain.event_examples import example
from domain.event_references import REFERENCES
from domain.event_registry import REGISTRY, EventType
from domain.event_schemas import Schema, data_schema, wire_schema


class Field(NamedTuple):
    """A field of an event's data, as a row of a table."""

    name: str
    type: str
    always: bool
    about: str


class Group(NamedTuple):
    """The events whose data have the same fields."""

    title: str
    anchor: str
    fields: Sequence[Field]
    events: Sequence[EventType]


@cache
def rendered() -> str:
    """The page's HTML, the same for every process of this version of the code."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    references = {name: [field.name for field in fields_of(wire_schema(model))] for name, model in REFERENCES.items()}
    environment.filters["code"] = _code
    html: str = environment.get_template("page.html").render(
        groups=groups(),
        references=references,
        example=example_of,
        schema_key=schema_key,
        stream=STREAM,
        topic=TOPIC,
        partitions=PARTITIONS,
    )
    return html


def groups() -> list[Group]:
    """The registry by the model of the data, in the order in which the models first come."""
    models = dict.fromkeys(event.data for event in REGISTRY)
    return [_group([event for event in REGISTRY if event.data is model]) for model in models]


def example_of(event: EventType) -> str:
    """The event's example as indented JSON."""
    return json.dumps(as_sent(example(event)), indent=2)


def fields_of(schema: Schema, prefix: str = "") -> list[Field]:
    """The fields of a schema, those of the elements of a list behind it, as `items[].price`."""
    found = []
    for name, one in schema["properties"].items():
        about = one.get("description", "")
        found.append(Field(prefix + name, _type(one), name in schema.get("required", ()), about))
        if "properties" in one.get("items", {}):
            found += fields_of(one["items"], f"{prefix}{name}[].")
    return found


def _code(words: str) -> Markup:
    """Words for people as HTML; what stands in backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(words))))  # noqa: S704  # escaped


def _group(events: list[EventType]) -> Group:
    subject = events[0].subject
    schema = data_schema(events[0])
    for name in ("eventType", "detailType"):
        if name in schema["properties"]:
            schema["properties"][name] = {"type": "string", "description": "the event's name, e.g. " + events[0].name}
    return Group(f"Events of {subject}s", f"{subject}-events", fields_of(schema), events)


def _type(schema: dict[str, Any]) -> str:
    if known := schema.get("x-extensible-enum"):
        return "one of " + ", ".join(known)
    if schema.get("format") == "date-time":
        return "time (RFC 3339)"
    if "pattern" in schema:
        return "decimal string"
    plain: str = schema.get("type", "any")
    return "list" if plain == "array" else plain
