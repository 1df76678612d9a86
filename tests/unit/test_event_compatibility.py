"""The gate before a release: what would break consumers or stored events is refused, additions pass."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devstack.events.compatibility import breaks
from devstack.events.release import main, released_schemas, schemas_now

Schemas = dict[str, Any]

ITEMS = {
    "type": "array",
    "items": {"type": "object", "properties": {"price": {"type": "string"}}, "required": ["price"]},
}
RELEASED: Schemas = {
    "OrderPlaced.v1": {
        "type": "object",
        "description": "the order is accepted",
        "properties": {
            "orderId": {"type": "string"},
            "eventType": {"type": "string", "const": "OrderPlaced"},
            "at": {"type": "string", "format": "date-time"},
            "total": {"type": "string", "pattern": "^[0-9.]+$"},
            "kind": {"type": "string", "enum": ["a", "b"]},
            "status": {"type": "string", "x-extensible-enum": ["PLACED", "SHIPPED"]},
            "reason": {"type": "string"},
            "items": ITEMS,
        },
        "required": ["orderId", "eventType", "items"],
    }
}


def _fields(schemas: Schemas) -> Schemas:
    fields: Schemas = schemas["OrderPlaced.v1"]["properties"]
    return fields


def _required(schemas: Schemas, *names: str) -> None:
    schemas["OrderPlaced.v1"]["required"] = list(names)


def _line(schemas: Schemas) -> Schemas:
    line: Schemas = _fields(schemas)["items"]["items"]
    return line


BREAKING: dict[str, tuple[Callable[[Schemas], Any], str]] = {
    "a type is gone": (lambda now: now.pop("OrderPlaced.v1"), "OrderPlaced.v1: is gone"),
    "a field is gone": (lambda now: _fields(now).pop("reason"), "OrderPlaced.v1.reason: is gone"),
    "a field is renamed": (
        lambda now: _fields(now).update(id=_fields(now).pop("orderId")),
        "OrderPlaced.v1.orderId: is gone",
    ),
    "a field has another type": (
        lambda now: _fields(now)["orderId"].update(type="integer"),
        "OrderPlaced.v1.orderId: type was string, is integer",
    ),
    "a field may be null": (
        lambda now: _fields(now)["orderId"].update(type=["string", "null"]),
        "OrderPlaced.v1.orderId: type was string, is ['string', 'null']",
    ),
    "the field of a list's element has another type": (
        lambda now: _line(now)["properties"]["price"].update(type="number"),
        "OrderPlaced.v1.items[].price: type was string, is number",
    ),
    "the field of a list's element is gone": (
        lambda now: _line(now)["properties"].pop("price"),
        "OrderPlaced.v1.items[].price: is gone",
    ),
    "a constant changes": (
        lambda now: _fields(now)["eventType"].update(const="OrderCreated"),
        "OrderPlaced.v1.eventType: const was OrderPlaced, is OrderCreated",
    ),
    "a format goes": (
        lambda now: _fields(now)["at"].pop("format"),
        "OrderPlaced.v1.at: format was date-time, is not there",
    ),
    "a pattern comes": (
        lambda now: _fields(now)["orderId"].update(pattern="^o"),
        "OrderPlaced.v1.orderId: pattern was not there, is ^o",
    ),
    "a closed list is narrowed": (
        lambda now: _fields(now)["kind"].update(enum=["a"]),
        "OrderPlaced.v1.kind: enum was ['a', 'b'], is ['a']",
    ),
    "a closed list grows": (
        lambda now: _fields(now)["kind"].update(enum=["a", "b", "c"]),
        "OrderPlaced.v1.kind: enum was ['a', 'b'], is ['a', 'b', 'c']",
    ),
    "an open list is narrowed": (
        lambda now: _fields(now)["status"].update({"x-extensible-enum": ["PLACED"]}),
        "OrderPlaced.v1.status: SHIPPED is no value any more",
    ),
    "an open list is closed": (
        lambda now: _fields(now)["status"].update(enum=_fields(now)["status"].pop("x-extensible-enum")),
        "OrderPlaced.v1.status: the list of its values was open",
    ),
    "a field may be missing": (
        lambda now: _required(now, "eventType", "items"),
        "OrderPlaced.v1.orderId: was always there, may be missing now",
    ),
    "a field becomes required": (
        lambda now: _required(now, "orderId", "eventType", "items", "reason"),
        "OrderPlaced.v1.reason: is required now, and events of before do not have it",
    ),
    "no other fields are allowed": (
        lambda now: now["OrderPlaced.v1"].update(additionalProperties=False),
        "OrderPlaced.v1: additionalProperties was not there, is False",
    ),
}

ADDING: dict[str, Callable[[Schemas], Any]] = {
    "nothing": lambda now: None,
    "a type": lambda now: now.update({"OrderPlaced.v2": {"type": "object"}}),
    "a field": lambda now: _fields(now).update(channel={"type": "string"}),
    "a field of a list's element": lambda now: _line(now)["properties"].update(name={"type": "string"}),
    "a value of an open list": lambda now: _fields(now)["status"]["x-extensible-enum"].append("RETURNED"),
    "words for people": lambda now: _fields(now)["orderId"].update(description="the order", title="Order"),
}


@pytest.mark.parametrize("what", list(BREAKING))
def test_the_gate_refuses(what: str) -> None:
    """It names the schema and the field, and says what was and what is."""
    change, said = BREAKING[what]
    now = copy.deepcopy(RELEASED)
    change(now)
    assert said in breaks(RELEASED, now)


@pytest.mark.parametrize("what", list(ADDING))
def test_the_gate_lets_pass(what: str) -> None:
    """What neither a consumer of today nor an event of yesterday notices."""
    now = copy.deepcopy(RELEASED)
    ADDING[what](now)
    assert breaks(RELEASED, now) == []


def test_events_of_now_break_nobody_who_reads_the_released_ones() -> None:
    """The gate itself: `python -m devstack.events.release` after additions, a new version of the type otherwise."""
    assert len(released_schemas()) > 20
    assert breaks(released_schemas(), schemas_now()) == []


def test_a_release_keeps_the_schemas_of_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first has none before it; `--check` writes nothing."""
    file = tmp_path / "released.json"
    assert main(["--check"], file) == 0
    assert not file.exists()
    assert main([], file) == 0
    assert released_schemas(file) == schemas_now()
    assert "0 of them new" not in capsys.readouterr().out
    assert main([], file) == 0
    assert "0 of them new" in capsys.readouterr().out


def test_a_release_that_would_break_somebody_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file stays as it is, the field is named, and the way out is told."""
    file = tmp_path / "released.json"
    released = copy.deepcopy(schemas_now())
    released["OrderPlaced.v1"]["properties"]["couponCode"] = {"type": "string"}
    file.write_text(json.dumps(released))
    assert main([], file) == 1
    assert json.loads(file.read_text()) == released
    said = capsys.readouterr().err
    assert "OrderPlaced.v1.couponCode: is gone" in said
    assert "give the type a new one" in said
