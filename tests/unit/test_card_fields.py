"""Every text field of every request body is held to the rule about card numbers; a new one is found by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

import api.app
from api.http.fields import Body
from domain.errors import InvalidInput

SAID = "4242 4242 4242 4242"
NOT_KEPT = {
    ("EndpointBody", "url"): "a public address, checked as such",
    ("EndpointPatch", "url"): "likewise",
    ("EndpointBody", "events"): "names of events, checked as such",
    ("EndpointPatch", "events"): "likewise",
    ("NotificationsWanted", "locale"): "a language that is known",
}
QUERIES = "Query"  # the ends of their names: what stands in an address is looked for, and kept nowhere


def _bodies(kind: type[Body] = Body) -> Iterator[type[Body]]:
    for one in kind.__subclasses__():
        if one.__module__.startswith(api.__name__) and not one.__name__.endswith(QUERIES):
            yield one
        yield from _bodies(one)


def _fields() -> list[tuple[type[Body], str, FieldInfo]]:
    return [(body, name, field) for body in _bodies() for name, field in body.model_fields.items()]


def _takes(field: FieldInfo, value: Any) -> bool:
    kind: Any = Annotated[field.annotation, *field.metadata, "a field"]
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    try:
        adapter.validate_python(value)
    except (ValidationError, InvalidInput):
        return False
    return True


@pytest.mark.parametrize("shape", [SAID, [SAID], {SAID: "x"}, {"x": SAID}], ids=["text", "list", "name", "value"])
def test_no_field_takes_a_card_number(shape: Any) -> None:
    """As a text, in a list, as a name and as a value of what a shop attaches."""
    taken = {(body.__name__, name) for body, name, field in _fields() if _takes(field, shape)}
    assert taken - NOT_KEPT.keys() == set()


def test_the_walk_finds_the_fields() -> None:
    """Those that take the same text without a card number, among them all that people write."""
    harmless = {(body.__name__, name) for body, name, field in _fields() if _takes(field, "changed my mind")}
    assert harmless >= {
        ("CancelWanted", "reason"), ("CancelWanted", "by"), ("DropWanted", "reason"), ("RefundWanted", "reason"),
        ("ShippingAddress", "name"), ("ShippingAddress", "phone"), ("CustomerWanted", "name"),
        ("ProductWanted", "name"), ("EndpointBody", "description"),
    }  # fmt: skip
    attached = {(body.__name__, name) for body, name, field in _fields() if _takes(field, {"gift": "for Zoe"})}
    assert ("OrderWanted", "metadata") in attached
