"""The registry of events: what is known, what is refused, and the schemas of the events and of existing consumers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, FormatChecker

from adapters.bus.port import STREAM, TOPIC
from domain.cloud_events import CloudEvent
from domain.event_examples import example
from domain.event_references import REFERENCES, as_reference
from domain.event_registry import (
    BY_TYPE,
    REGISTRY,
    EventType,
    UnknownEventType,
    WrongEventData,
    named,
    of_type,
    read,
)
from domain.event_schemas import data_schema
from domain.events import EventName

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
ITEMS = [{"productId": "prod001", "quantity": 2, "price": 29.99}]
ORDER = {"orderId": "order789", "customerId": "user123", "items": ITEMS, "totalAmount": 59.98}
AS_THEY_STAND: dict[str, dict[str, Any]] = {
    "OrderCreated": {
        "eventId": "e1",
        "eventType": "OrderCreated",
        "timestamp": "2026-06-01T09:30:00Z",
        "orderId": "order789",
        "userId": "user123",
        "items": ITEMS,
        "totalAmount": 59.98,
        "paymentStatus": "Pending",
    },
    "InventoryUpdated": {
        "eventId": "e2",
        "eventType": "InventoryUpdated",
        "timestamp": "2026-06-01T09:30:00Z",
        "productId": "prod001",
        "quantityChange": -2,
        "newQuantity": 98,
    },
    "OrderPlaced": {"detailType": "OrderPlaced", "orderStatus": "PLACED", **ORDER},
    "OrderShipped": {"detailType": "OrderShipped", "orderStatus": "SHIPPED", **ORDER},
    "OrderDelivered": {"detailType": "OrderDelivered", "orderStatus": "DELIVERED", **ORDER},
    "OrderCanceled": {"detailType": "OrderCanceled", "orderStatus": "CANCELED", **ORDER},
}
"""A payload of each of the schemas that existing consumers read, with its fields and no other."""

every_event = pytest.mark.parametrize("event", REGISTRY, ids=lambda event: event.type)
every_reference = pytest.mark.parametrize("name", list(AS_THEY_STAND))


def _checks(schema: dict[str, Any]) -> Draft7Validator:
    return Draft7Validator(schema, format_checker=FormatChecker())


def test_the_registry_has_every_event_that_is_written() -> None:
    """In the version that is written: a new name without an entry would have no schema."""
    assert {name.type for name in EventName} <= set(BY_TYPE)
    assert len(BY_TYPE) == len(REGISTRY)


@every_event
def test_an_example_fits_its_schema_and_is_read_back(event: EventType) -> None:
    """The document's examples are events as the service sends them."""
    given = CloudEvent.from_json(example(event).to_json())
    _checks(data_schema(event)).validate(given.data)
    told = read(given.type, given.data)
    assert type(told) is event.data
    assert told.model_dump(mode="json", by_alias=True, exclude_none=True) == given.data


@every_event
def test_a_schema_has_the_fields_of_its_model_and_refuses_another_event(event: EventType) -> None:
    """No field is forgotten, none may be null, and the event names itself."""
    schema, data = data_schema(event), example(event).data
    assert set(schema["properties"]) == {field.alias for field in event.data.model_fields.values()}
    assert "null" not in json.dumps(schema)
    checks = _checks(schema)
    assert not checks.is_valid(data | {"eventType": "SomethingElse"})
    for name in schema["required"]:
        assert not checks.is_valid({key: value for key, value in data.items() if key != name})


def test_a_state_that_comes_later_does_not_break_who_checks_by_the_schema() -> None:
    """The states of orders and payments are open lists; an amount in floating point is refused."""
    placed = of_type("ordersaga.order.placed.v1")
    checks, data = _checks(data_schema(placed)), example(placed).data
    assert checks.is_valid(data | {"orderStatus": "RETURNED"})
    assert checks.is_valid(data | {"something": "new"})
    assert not checks.is_valid(data | {"totalAmount": 279.98})


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        ("ordersaga.order.placed.v9", "no such version of this type of event; there are ordersaga.order.placed.v1"),
        ("ordersaga.order.paid.v1", "no such type of event; there are ordersaga.order.placed.v1, "),
        ("", "no such type of event; there are "),
        (".v1", "no such type of event; there are "),
    ],
)
def test_an_unknown_type_or_version_is_told_what_exists(type_: str, said: str) -> None:
    """Both for the consumer that parks the event and for whoever asks the API by a filter (422)."""
    for ask in (of_type, lambda asked: read(asked, {})):
        with pytest.raises(UnknownEventType) as refusal:
            ask(type_)
        assert refusal.value.detail.startswith(said)
        assert refusal.value.code == "unknown_event_type"
        assert [field.name for field in refusal.value.fields] == ["type"]


def test_a_filter_names_an_event_by_its_name_its_older_name_or_its_type() -> None:
    """OrderCreated is what existing consumers call OrderPlaced."""
    placed = (of_type("ordersaga.order.placed.v1"),)
    assert named("OrderPlaced") == named("OrderCreated") == named("ordersaga.order.placed.v1") == placed
    with pytest.raises(UnknownEventType, match=r"there are OrderPlaced, OrderCreated, InventoryReserved, "):
        named("orderplaced")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"orderId": None}, "orderId"),
        ({"items": [{"productId": "1"}]}, "items.0.quantity"),
        ({"eventType": "X"}, "eventType"),
    ],
)
def test_data_that_do_not_fit_name_the_field_and_quote_nothing(change: dict[str, Any], field: str) -> None:
    """The error lands in logs and in the table of refused events."""
    data = example(of_type("ordersaga.order.placed.v1")).data | {"customerId": "Alice Secret"}
    with pytest.raises(WrongEventData, match=rf"ordersaga\.order\.placed\.v1: .*{field}") as refusal:
        read("ordersaga.order.placed.v1", data | change)
    assert "Secret" not in str(refusal.value)


def test_data_of_another_event_are_refused() -> None:
    """The type around the data and the name in them are the same."""
    shipped = example(of_type("ordersaga.order.shipped.v1")).data
    with pytest.raises(WrongEventData, match="not OrderPlaced"):
        read("ordersaga.order.placed.v1", shipped)


def test_every_reference_is_tried() -> None:
    """No schema of existing consumers without its payload here."""
    assert set(AS_THEY_STAND) == set(REFERENCES)


@every_reference
def test_a_reference_payload_passes_as_it_stands(name: str) -> None:
    """With exactly its fields, money as a number or as a decimal string, ids as text or as numbers."""
    payload, model = AS_THEY_STAND[name], REFERENCES[name]
    read_back = model.model_validate(payload).model_dump(mode="json", by_alias=True)
    assert set(read_back) == set(payload)
    assert set(payload) == {field.alias for field in model.model_fields.values()}
    if "items" in payload:
        assert read_back["totalAmount"] == "59.98"
        assert (
            model.model_validate(payload | {"totalAmount": "59.98", "orderId": 789}).model_dump()["order_id"] == "789"
        )


@every_reference
@pytest.mark.parametrize("missing", ["eventId", "detailType", "items", "orderId", "newQuantity"])
def test_a_reference_payload_without_one_of_its_fields_does_not(name: str, missing: str) -> None:
    """So the test above says something."""
    rest = {key: value for key, value in AS_THEY_STAND[name].items() if key != missing}
    if missing in AS_THEY_STAND[name]:
        with pytest.raises(ValueError, match=missing):
            REFERENCES[name].model_validate(rest)


@every_reference
def test_a_consumer_with_exactly_these_fields_reads_our_events(name: str) -> None:
    """As a class that was written against the schema, and passes over the rest."""
    ours = example(named(name)[0]).data
    told = REFERENCES[name].model_validate(ours)
    assert told.model_dump(by_alias=True).keys() == AS_THEY_STAND[name].keys()


@every_reference
def test_a_consumer_that_goes_by_the_older_name_gets_its_payload(name: str) -> None:
    """Exactly the reference's fields, under its own name; nothing else changes."""
    ours = example(named(name)[0]).data
    told = as_reference(name, ours)
    assert set(told) == set(AS_THEY_STAND[name])
    naming = {key: name for key in ("eventType", "detailType") if key in told}
    assert told == {key: ours[key] for key in told} | naming


def test_a_reference_is_made_of_its_own_event_only() -> None:
    """An order that was shipped is no OrderCreated."""
    with pytest.raises(ValueError, match="OrderCreated is made of OrderPlaced only"):
        as_reference("OrderCreated", example(of_type("ordersaga.order.shipped.v1")).data)


@pytest.mark.parametrize(("file", "name"), [("consume_nats.py", STREAM), ("consume_kafka.py", TOPIC)])
def test_an_example_reads_where_events_are_published(file: str, name: str) -> None:
    """What is copied from the documents names the stream, or the topic, and types that exist."""
    text = (EXAMPLES / file).read_text()
    assert f'"{name}"' in text
    types = re.findall(r"ordersaga\.\w+\.\w+\.v\d+", text)
    assert types
    assert set(types) <= BY_TYPE.keys()
