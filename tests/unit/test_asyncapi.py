"""The AsyncAPI document: valid, complete, in step with the registry, and the check of it notices what is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from adapters.bus.port import PARTITIONS, partition_of
from api.events.asyncapi import document
from devstack.events.structure import errors, payload_validator, resolved
from domain.event_examples import example
from domain.event_registry import REGISTRY
from domain.events import EventName

Document = dict[str, Any]


@pytest.fixture
def ours() -> Document:
    return copy.deepcopy(document())


def test_the_document_is_valid(ours: Document) -> None:
    """AsyncAPI 3's rules, its references, its schemas, and every example by the schema of its message."""
    assert errors(ours) == []


def test_the_document_has_every_event_on_each_channel(ours: Document) -> None:
    """NATS and Kafka carry the same."""
    types = {event.type for event in REGISTRY}
    assert set(ours["components"]["messages"]) == types
    for channel in ours["channels"].values():
        assert {resolved(ours, message["$ref"])["name"] for message in channel["messages"].values()} == types
    assert set(ours["channels"]["nats"]["parameters"]["type"]["enum"]) == types


def test_the_partitions_are_those_of_the_relay(ours: Document) -> None:
    """One number for both brokers and every language."""
    named = ours["channels"]["nats"]["parameters"]["partition"]["enum"]
    assert named == [str(number) for number in range(PARTITIONS)]
    assert ours["channels"]["kafka"]["bindings"]["kafka"]["partitions"] == PARTITIONS
    assert str(partition_of("an order")) in named


def test_the_document_names_no_address_and_no_password(ours: Document) -> None:
    """Everybody may read it."""
    assert [server["host"] for server in ours["servers"].values()] == ["{host}:4222", "{host}:9092"]


def test_an_event_of_another_type_is_no_payload_of_a_message(ours: Document) -> None:
    """A message's payload is its own type, from its own source, with its own data."""
    placed = payload_validator(ours, EventName.ORDER_PLACED.type)
    for event in REGISTRY:
        payload = json.loads(example(event).to_json())
        assert placed.is_valid(payload) == (event.name is EventName.ORDER_PLACED)
        assert not placed.is_valid(payload | {"source": "/elsewhere"})


def _with(*path: str, value: Any) -> Callable[[Document], None]:
    def change(given: Document) -> None:
        place = given
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value

    return change


PLACED = "ordersaga.order.placed.v1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_with("asyncapi", value="2.6.0"), "asyncapi: '3.0.0' was expected"),
        (_with("info", value={"title": "Events"}), "info: 'version' is a required property"),
        (_with("publish", value={}), "the document: Additional properties are not allowed"),
        (_with("operations", "sendToNats", "action", value="publish"), "operations/sendToNats/action: "),
        (_with("channels", "a b", value={}), "channels: 'a b' does not match"),
        (_with("channels", "nats", "address", value="ev.{type}"), "channels/nats: the address has other parameters"),
        (
            _with("channels", "kafka", "servers", value=[{"$ref": "#/servers/rabbit"}]),
            "#/servers/rabbit: leads nowhere",
        ),
        (_with("channels", "kafka", "servers", value=[{"$ref": "#/info"}]), "channels/kafka: #/info is no server"),
        (
            _with("operations", "sendToKafka", "channel", value={"$ref": "#/servers/kafka"}),
            "operations/sendToKafka: #/servers/kafka is no channel",
        ),
        (
            _with(
                "channels", "nats", "messages", "OrderPlaced.v1", value={"$ref": "#/components/schemas/CloudEvent"}
            ),
            "channels/nats: #/components/schemas/CloudEvent is no message",
        ),
        (
            _with("components", "schemas", "OrderPlaced.v1", "required", value="orderId"),
            "components/schemas/OrderPlaced.v1/required: ",
        ),
        (
            _with("components", "messages", PLACED, "examples", value=[{"payload": {"type": PLACED}}]),
            f"components/messages/{PLACED}/examples: the document: 'specversion' is a required property",
        ),
    ],
)
def test_the_check_notices(ours: Document, change: Callable[[Document], None], said: str) -> None:
    """Each rule of the check can fail."""
    change(ours)
    assert any(error.startswith(said) for error in errors(ours)), errors(ours)
