"""Rules: which events reach a consumer."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from domain.events import EventName
from domain.routing import EventType, Rule
from tests.support.consumers import order_event, stock_event


def wants(rule: Rule, name: EventName, subject: str = "a", **data: Any) -> bool:
    event = order_event(subject, 1, name, **data)
    return rule.wants(EventType.of(event.type), event)


@pytest.mark.parametrize("name", list(EventName))
def test_a_type_says_its_event_and_version(name: EventName) -> None:
    """Every event's type leads back to its name."""
    assert EventType.of(name.type) == EventType(name, 1)
    assert EventType.of(name.type.replace(".v1", ".v12")) == EventType(name, 12)


@pytest.mark.parametrize("type_", ["", "ordersaga.order.placed", "ordersaga.order.placed.v0", "x.v1x"])
def test_a_type_without_a_version_has_none(type_: str) -> None:
    """Such an event is parked by whoever wants it, not guessed at."""
    assert EventType.of(type_) == EventType(None, 0)


def test_an_unknown_event_reaches_only_who_wants_all() -> None:
    """The archive keeps what a newer version of the code publishes."""
    event = stock_event("p", 1, 0, 1).model_copy(update={"type": "ordersaga.gift.wrapped.v1"})
    assert Rule().wants(EventType.of(event.type), event)
    assert not Rule(types=frozenset(EventName)).wants(EventType.of(event.type), event)


def test_types_name_exactly_what_passes() -> None:
    """OrderShipped is no OrderPlaced."""
    types = frozenset({EventName.ORDER_PLACED, EventName.ORDER_SHIPPED})
    assert {name for name in EventName if wants(Rule(types=types), name)} == types


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("OrderPlaced", {EventName.ORDER_PLACED}),
        ("OrderCreated", {EventName.ORDER_PLACED}),
        ("ordersaga.order.placed.v1", {EventName.ORDER_PLACED}),
        ("ordersaga.order.placed", {EventName.ORDER_PLACED}),
        ("ordersaga.payment.void*", {EventName.PAYMENT_VOIDED}),
        ("Inventory*", {EventName.INVENTORY_RESERVED, EventName.INVENTORY_UPDATED, EventName.INVENTORY_RELEASED}),
    ],
)
def test_a_type_may_be_named_in_several_ways(given: str, meant: set[EventName]) -> None:
    """By its name, an older name, its type with or without a version, or a pattern."""
    assert set(Rule.model_validate({"types": [given]}).types or ()) == meant


def test_a_version_that_nobody_knows_reaches_who_wants_its_type() -> None:
    """Who gets it parks it; that it never came would be seen by nobody."""
    event = order_event("a", 1, EventName.ORDER_PLACED).model_copy(update={"type": "ordersaga.order.placed.v9"})
    for given in ("OrderPlaced", "ordersaga.order.placed.v1", "ordersaga.order.*"):
        rule = Rule.model_validate({"types": [given]})
        assert rule.wants(EventType.of(event.type), event)


@pytest.mark.parametrize(
    ("subjects", "passes"),
    [(None, True), (("*",), True), (("a",), True), (("ab",), False), (("x", "a*"), True), (("b*",), False)],
)
def test_a_subject_is_whole_or_a_pattern(subjects: tuple[str, ...] | None, passes: bool) -> None:
    """Any of those that are given."""
    assert wants(Rule(subjects=subjects), EventName.ORDER_PLACED) is passes


@pytest.mark.parametrize(
    ("data", "passes"),
    [
        ({"currency": ("EUR", "USD")}, True),
        ({"currency": ("EUR",)}, False),
        ({"currency": "USD", "orderStatus": ("CANCELED",)}, False),
        ({"nothing": ("USD",)}, False),
        ({"gift": (1,)}, False),
        ({"gift": (True,)}, True),
    ],
)
def test_every_named_field_has_one_of_its_values(data: dict[str, Any], passes: bool) -> None:
    """True is not 1."""
    assert wants(Rule.model_validate({"data": data}), EventName.ORDER_PLACED, gift=True) is passes


@pytest.mark.parametrize(
    "wrong",
    [
        {"types": ["OrderLost"]},
        {"types": ["ordersaga.order.lost.*"]},
        {"types": []},
        {"types": "OrderPlaced"},
        {"subjects": []},
        {"subject": "*"},
    ],
)
def test_a_rule_that_makes_no_sense_names_the_field(wrong: dict[str, object]) -> None:
    """And an unknown event says which ones there are."""
    with pytest.raises(ValidationError) as refused:
        Rule.model_validate(wrong)
    (problem,) = refused.value.errors()
    assert problem["loc"][0] == next(iter(wrong))
    if isinstance(wrong.get("types"), list) and wrong["types"]:
        assert "OrderPlaced" in problem["msg"] or "ordersaga.order.placed.v1" in problem["msg"]
