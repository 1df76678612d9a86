"""The generated parts of docs/events.md: the events, an example of each, the older schemas, the consumers."""

from __future__ import annotations

import json
from pathlib import Path

from api.events.asyncapi import as_sent
from api.events.page import Group, fields_of, groups
from domain.event_examples import example
from domain.event_references import REFERENCES, as_reference
from domain.event_registry import REGISTRY, named
from domain.event_schemas import wire_schema

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def events_table() -> str:
    """Every type of event in one line."""
    rows = ["| event | type | subject | what it tells |", "|---|---|---|---|"]
    for event in REGISTRY:
        name = " ".join([f"[{event.name}](#{event.name.lower()})", *(f"({old})" for old in event.also)])
        rows.append(f"| {name} | `{event.type}` | {event.subject} | {event.tells} |")
    return "\n".join(rows)


def fields_tables() -> str:
    """The fields of `data`, a table for each kind of subject."""
    return "\n\n".join(_fields_table(group) for group in groups())


def _fields_table(group: Group) -> str:
    rows = [f"**{group.title}**", "", "| field | type | there | what it is |", "|---|---|---|---|"]
    for field in group.fields:
        there = "always" if field.always else "where it applies"
        rows.append(f"| `{field.name}` | {field.type} | {there} | {field.about} |")
    return "\n".join(rows)


def examples() -> str:
    """Every event once, as it reaches a consumer."""
    return "\n\n".join(f"### {event.name}\n\n{_json(as_sent(example(event)))}" for event in REGISTRY)


def references_table() -> str:
    """The schemas of existing consumers, and what they read of our events."""
    rows = ["| schema | its fields | read from |", "|---|---|---|"]
    for name, model in REFERENCES.items():
        fields = " ".join(f"`{field.name}`" for field in fields_of(wire_schema(model)))
        rows.append(f"| {name} | {fields} | {named(name)[0].name} |")
    return "\n".join(rows)


def order_created() -> str:
    """OrderPlaced as `as_reference` makes an OrderCreated of it."""
    return _json(as_reference("OrderCreated", example(named("OrderCreated")[0]).data))


def consumer(name: str) -> str:
    """A consumer of docs/examples/, which the tests run."""
    return f"```python\n{(EXAMPLES / name).read_text().rstrip()}\n```"


def _json(value: object) -> str:
    return f"```json\n{json.dumps(value, indent=2)}\n```"
