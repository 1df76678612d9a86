"""The JSON Schema of each type of event, as consumers read it: what is on the wire, in the words of draft 7.

Draft 7 is what AsyncAPI 3 takes without naming a format. Absent fields are left out on the wire, so that no field is
nullable. The states of an order and of a payment are open lists (`x-extensible-enum`): a state may be added, and a
consumer takes one that it does not know for "something else".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue

from domain.event_registry import EventType
from domain.order_states import OrderStatus, PaymentStatus

Schema = dict[str, Any]

OPEN_LISTS = frozenset({OrderStatus.__name__, PaymentStatus.__name__})
NAMES_ITSELF = ("eventType", "detailType")
"""The fields in which an event says what it is."""


class _OnTheWire(GenerateJsonSchema):
    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def data_schema(event: EventType) -> Schema:
    """The schema of an event's `data`, complete in itself."""
    schema = wire_schema(event.data)
    for name in NAMES_ITSELF:
        if name in schema["properties"]:
            schema["properties"][name] = {"type": "string", "const": event.name.value}
    return schema | {"title": event.name.value, "description": event.tells}


def wire_schema(model: type[BaseModel], mode: JsonSchemaMode = "serialization") -> Schema:
    """The schema of a model as it is sent (or read: "validation"), by its aliases and without references."""
    schema = model.model_json_schema(mode=mode, by_alias=True, schema_generator=_OnTheWire)
    definitions = schema.pop("$defs", {})
    return _plain(schema, {name: _opened(name, one) for name, one in definitions.items()})


def _opened(name: str, definition: Schema) -> Schema:
    """An open list as one: whoever checks an event by the schema takes values that come later."""
    if name not in OPEN_LISTS:
        return definition
    return {"type": "string", "x-extensible-enum": definition["enum"]}


def _plain(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """`schema` with what it refers to in place, and without titles that only repeat a field's name."""
    referred = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else {}
    plain = {name: value for name, value in (referred | schema).items() if name not in ("$ref", "title")}
    if "properties" in plain:
        plain["properties"] = {name: _plain(one, definitions) for name, one in plain["properties"].items()}
    if "items" in plain:
        plain["items"] = _plain(plain["items"], definitions)
    return plain
