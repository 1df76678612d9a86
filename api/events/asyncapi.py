"""The AsyncAPI 3 document: which events the service sends, where, and what is in them. Made of the registry.

https://www.asyncapi.com/docs/reference/specification/v3.0.0. It names no broker's address: who may read gets one.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from adapters.bus.port import PARTITIONS, STREAM, TOPIC
from domain.cloud_events import CONTENT_TYPE, CloudEvent
from domain.event_examples import example
from domain.event_references import REFERENCES
from domain.event_registry import REGISTRY, SUBJECTS, EventType
from domain.event_schemas import data_schema, wire_schema

MEDIA_TYPE = "application/vnd.aai.asyncapi+json"

ABOUT = f"""What happens to orders and stock, as CloudEvents 1.0 in structured JSON.

An event may come more than once, with the same `id`; events of one subject come in the order of their `sequence`,
which has no gaps. Money is a decimal string in major units of the event's currency. Fields and types of events, and
values of `x-extensible-enum`, may be added: pass over what you do not know. A change that would break you is a new
version of the type, beside the old one.

Each event lies in partition `crc32(subject) % {PARTITIONS}`."""


@cache
def document() -> dict[str, Any]:
    """The whole document; it is the same for every process of this version of the code."""
    messages = {schema_key(event): {"$ref": f"#/components/messages/{event.type}"} for event in REGISTRY}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Order Saga: events",
            "version": "1.0.0",
            "description": ABOUT,
            "license": {"name": "MIT"},
            "tags": [{"name": name} for name in SUBJECTS.values()],
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": _servers(),
        "channels": _channels(messages),
        "operations": {
            f"sendTo{broker.capitalize()}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{broker}"},
                "summary": "The relay publishes what was written in the transaction that it tells of.",
            }
            for broker in ("nats", "kafka")
        },
        "components": {"messages": {event.type: _message(event) for event in REGISTRY}, "schemas": _schemas()},
    }


def schema_key(event: EventType) -> str:
    """The name of an event's data among the document's schemas, e.g. `OrderPlaced.v1`."""
    return f"{event.name.value}.v{event.version}"


def _servers() -> dict[str, Any]:
    def server(protocol: str, port: int, what: str) -> dict[str, Any]:
        host = {"default": "127.0.0.1", "description": "where the shop's broker is"}
        return {"host": f"{{host}}:{port}", "protocol": protocol, "description": what, "variables": {"host": host}}

    return {
        "nats": server("nats", 4222, f"NATS with JetStream: the stream {STREAM}; the default"),
        "kafka": server("kafka", 9092, "Kafka, where the shop has chosen it"),
    }


def _channels(messages: dict[str, Any]) -> dict[str, Any]:
    partition = {
        "description": "crc32(subject) modulo the number of partitions",
        "enum": [str(number) for number in range(PARTITIONS)],
    }
    type_ = {"description": "the event's type", "enum": [event.type for event in REGISTRY]}
    return {
        "nats": {
            "address": "ev.{partition}.{type}",
            "title": f"The stream {STREAM}",
            "description": "All: `ev.>`; by type: `ev.*.ordersaga.order.placed.v1`, `ev.*.ordersaga.payment.>`.",
            "servers": [{"$ref": "#/servers/nats"}],
            "parameters": {"partition": partition, "type": type_},
            "messages": messages,
        },
        "kafka": {
            "address": TOPIC,
            "title": f"The topic {TOPIC}",
            "description": "The key of a record is the event's subject.",
            "servers": [{"$ref": "#/servers/kafka"}],
            "messages": messages,
            "bindings": {"kafka": {"topic": TOPIC, "partitions": PARTITIONS, "bindingVersion": "0.5.0"}},
        },
    }


def _message(event: EventType) -> dict[str, Any]:
    given = example(event)
    key = {"type": "string", "description": f"the id of the {event.subject}"}
    return {
        "name": event.type,
        "title": event.name.value,
        "summary": event.tells,
        "contentType": CONTENT_TYPE,
        "tags": [{"name": event.subject}],
        "payload": {
            "allOf": [
                {"$ref": "#/components/schemas/CloudEvent"},
                {
                    "properties": {
                        "type": {"const": event.type},
                        "source": {"const": event.source},
                        "subject": {"description": f"the id of the {event.subject}"},
                        "data": {"$ref": f"#/components/schemas/{schema_key(event)}"},
                    }
                },
            ]
        },
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
        "examples": [{"name": event.name.value, "payload": as_sent(given)}],
    }


def as_sent(event: CloudEvent) -> dict[str, Any]:
    """The event as its JSON says it."""
    sent: dict[str, Any] = json.loads(event.to_json())
    return sent


def _schemas() -> dict[str, Any]:
    return {
        "CloudEvent": _envelope(),
        **{schema_key(event): data_schema(event) for event in REGISTRY},
        **{
            f"reference.{name}": wire_schema(model, "validation") | {"title": name}
            for name, model in REFERENCES.items()
        },
    }


def _envelope() -> dict[str, Any]:
    """The attributes around `data`: the model's, and those that are the same in every event."""
    schema = wire_schema(CloudEvent)
    constant = {
        "specversion": {"type": "string", "const": "1.0"},
        "datacontenttype": {"type": "string", "const": "application/json"},
    }
    told = {
        "id": "the event's id, the same in every repeat of it",
        "sequence": "numbers the events of a subject, without gaps",
        "time": "when it happened",
        "traceparent": "W3C Trace Context of what caused it",
    }
    properties = schema["properties"]
    for name, about in told.items():
        properties[name]["description"] = about
    return schema | {
        "title": "CloudEvent",
        "description": "CloudEvents 1.0 with the extensions `sequence` and `traceparent`",
        "properties": constant | properties,
        "required": [*constant, *schema["required"]],
    }
