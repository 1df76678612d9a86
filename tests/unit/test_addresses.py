"""The shipping address of a command: FIELD=VALUE, once for each field."""

from __future__ import annotations

import pytest

from api.orders.schemas import ShippingAddress
from commandline.addresses import FIELDS, NEEDED, read_address
from commandline.failures import Misused

WHOLE = ["street1=1 Main Street", "city=Springfield", "zip=62701", "country=US"]


def test_reads_an_address() -> None:
    """A value may have a sign of equality and blanks in it; none is None."""
    assert read_address([*WHOLE, " name = A=B Ltd. "]) == {
        "street1": "1 Main Street",
        "city": "Springfield",
        "zip": "62701",
        "country": "US",
        "name": "A=B Ltd.",
    }
    assert read_address(None) is read_address([]) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([*WHOLE, "town=Springfield"], "'town=Springfield' is not FIELD=VALUE; the fields are name, street1"),
        ([*WHOLE, "state="], "'state=' is not"),
        (["Springfield"], "'Springfield' is not"),
        ([*WHOLE, "zip=1"], "zip is given twice"),
        (["street1=1 Main Street", "zip=1"], "an address needs city, country, too"),
    ],
)
def test_refuses_what_is_no_address(given: list[str], said: str) -> None:
    """And names what is wrong with it."""
    with pytest.raises(Misused) as refused:
        read_address(given)
    assert said in refused.value.detail


def test_knows_the_fields_of_the_api() -> None:
    """All of them, and which are needed."""
    fields = ShippingAddress.model_fields
    assert tuple(fields) == FIELDS
    assert tuple(name for name, field in fields.items() if field.is_required()) == NEEDED
