"""Routes: each event reaches exactly the consumers whose rule takes it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.event_routes import RoutesRefused, read_routes
from adapters.settings import Settings
from domain.cloud_events import CloudEvent
from domain.events import EventName
from domain.routing import EventType, Rule
from events.consumers_main import KINDS, rules_of

FILE = """
[[consumers.fulfilment]]
types = ["OrderPlaced"]

[[consumers.tracking]]
types = ["OrderShipped", "ordersaga.order.delivered.v1"]

[[consumers.claims]]
types = ["OrderCanceled"]

[[consumers.large]]
types = ["OrderPlaced"]
data.currency = "USD"
data.totalAmount = { numeric = [[">=", 1000], ["<", 5000]] }

[[consumers.large]]
types = ["OrderPlaced"]
data.currency = ["EUR", "CHF"]

[[consumers.all_of_orders]]
types = ["ordersaga.order.*"]

[[consumers.one_subject]]
subjects = ["vip-*", "o7"]

[consumers]
nothing = []
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "routes.toml"


def event(name: EventName, subject: str = "o1", **data: Any) -> CloudEvent:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return CloudEvent(id="e", type=name.type, source="/orders", subject=subject, sequence=1, time=at, data=data)


def reached(file: Path, event: CloudEvent) -> set[str]:
    routes = read_routes(file)
    rules = routes.of(dict.fromkeys(routes.consumers, Rule()))
    return {consumer for consumer, rule in rules.items() if rule.wants(EventType.of(event.type), event)}


@pytest.mark.parametrize(
    ("name", "consumers"),
    [
        (EventName.ORDER_PLACED, {"fulfilment", "all_of_orders"}),
        (EventName.ORDER_SHIPPED, {"tracking", "all_of_orders"}),
        (EventName.ORDER_DELIVERED, {"tracking", "all_of_orders"}),
        (EventName.ORDER_CANCELED, {"claims", "all_of_orders"}),
        (EventName.PAYMENT_CAPTURED, set()),
    ],
)
def test_an_event_reaches_exactly_the_consumers_whose_rule_names_it(
    file: Path, name: EventName, consumers: set[str]
) -> None:
    file.write_text(FILE)
    assert reached(file, event(name)) == consumers


@pytest.mark.parametrize(
    ("data", "is_large"),
    [
        ({"currency": "USD", "totalAmount": "1000.00"}, True),
        ({"currency": "USD", "totalAmount": "999.99"}, False),
        ({"currency": "USD", "totalAmount": "5000"}, False),
        ({"currency": "USD", "totalAmount": 2000}, True),
        ({"currency": "USD", "totalAmount": "a lot"}, False),
        ({"currency": "USD", "totalAmount": "NaN"}, False),
        ({"currency": "USD", "totalAmount": True}, False),
        ({"currency": "USD"}, False),
        ({"currency": "EUR"}, True),
        ({"currency": "GBP", "totalAmount": "2000.00"}, False),
        ({}, False),
    ],
)
def test_a_rule_may_look_into_the_data(file: Path, data: dict[str, Any], is_large: bool) -> None:
    """All fields of one rule have to fit, and one rule of several."""
    file.write_text(FILE)
    assert ("large" in reached(file, event(EventName.ORDER_PLACED, **data))) is is_large


@pytest.mark.parametrize(("subject", "fits"), [("vip-1", True), ("o7", True), ("o77", False), ("a vip-1", False)])
def test_a_rule_may_name_subjects(file: Path, subject: str, fits: bool) -> None:
    file.write_text(FILE)
    assert ("one_subject" in reached(file, event(EventName.ORDER_PLACED, subject))) is fits


@pytest.mark.parametrize(
    ("condition", "data", "holds"),
    [
        ({"exists": True}, {"a": {"b": None}}, True),
        ({"exists": True}, {"a": {}}, False),
        ({"exists": False}, {"a": "b"}, True),
        ({"none_of": ["x"]}, {"a": {"b": "y"}}, True),
        ({"none_of": ["x"]}, {"a": {"b": "x"}}, False),
        ({"none_of": ["x"]}, {}, True),
        ({"prefix": "x"}, {"a": {"b": "xy"}}, True),
        ({"prefix": "x"}, {"a": {"b": 1}}, False),
        (1, {"a": {"b": 1}}, True),
        (1, {"a": {"b": True}}, False),
        (1, {"a": {"b": "1"}}, False),
    ],
)
def test_the_conditions_of_a_field(condition: Any, data: dict[str, Any], holds: bool) -> None:
    rule = Rule.model_validate({"data": {"a.b": condition}})
    told = event(EventName.ORDER_PLACED, **data)
    assert rule.wants(EventType.of(told.type), told) is holds


def test_a_consumer_that_is_not_in_the_file_has_its_own_rules(file: Path) -> None:
    """One that is there without rules gets nothing."""
    file.write_text('consumers.nothing = []\n[[consumers.some]]\ntypes = ["OrderPlaced"]')
    own = {name: Rule(types=frozenset({EventName.ORDER_REJECTED})) for name in ("nothing", "some", "other")}
    told = event(EventName.ORDER_REJECTED)
    rules = read_routes(file).of(own)
    assert {name for name in own if rules[name].wants(EventType.of(told.type), told)} == {"other"}
    assert read_routes(None).of(own) == own


def test_a_consumer_that_does_not_exist_is_refused_with_those_that_do(file: Path) -> None:
    file.write_text("consumers.notification = []")
    settings = Settings(event_routes=file)
    with pytest.raises(RoutesRefused, match=r"toml: consumers: .*'notification'; there are .*, notifications"):
        rules_of(KINDS, settings)
    assert rules_of(KINDS, Settings()) == {kind.name: kind.rule for kind in KINDS}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[[consumers.a]]\ntypes = ["OrderLost"]',
            "a.0.types: OrderLost: no such type of event; there are Order",
        ),
        ('[[consumers.a]]\ntypes = ["ordersaga.order.placed.v9"]', "ordersaga.order.placed.v9: no such"),
        ('[[consumers.a]]\ntyps = ["OrderPlaced"]', "consumers.a.0.typs"),
        ("[[consumers.a]]\ndata.x = { numeric = [['~', 1]] }", "consumers.a.0.data.x.numeric"),
        ("[[consumers.a]]\ndata.x = { like = 'y' }", "consumers.a.0.data.x.like"),
        ("[[consumers.a]", "line 1"),
        ("[[consumer.a]]", "consumer"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(RoutesRefused) as refused:
        read_routes(file)
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(RoutesRefused, match=r"routes\.toml"):
        read_routes(file)
