"""How requests are read, without a server: exact numbers, cursors, order ids, fingerprints."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.identities.secrets import Secret
from api.http.exact_json import loads
from api.http.pages import read_cursor, read_number, read_time, write_cursor
from api.orders.schemas import REFERENCE_ORDER, OrderWanted
from domain.errors import InvalidInput
from services.orders.placement import ORDER_IDS, new_order_id
from services.orders.pricing import Pieces, merge

patient = settings(deadline=None)  # a busy machine is no failure
IDS = Secret(SecretStr("a secret of the tests"), ORDER_IDS)


def wanted(**changes: Any) -> OrderWanted:
    return OrderWanted.model_validate({**REFERENCE_ORDER, **changes})


@patient
@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=0, max_value=10**12))
def test_reads_every_number_exactly(number: Decimal) -> None:
    """What a binary float would bend comes through as it was written."""
    read = loads(f'{{"price": {number}}}'.encode())["price"]

    assert isinstance(read, Decimal)
    assert read == number


@patient
@given(st.binary(max_size=60))
def test_raises_one_kind_of_error_for_whatever_is_no_json(raw: bytes) -> None:
    """Any bytes: a value, or a JSONDecodeError."""
    with suppress(json.JSONDecodeError):
        loads(raw)


@pytest.mark.parametrize("raw", [b"NaN", b"[-Infinity]", b"[" * 10**5, b"1" * 5000, b'"\xff"', b"", b"1e", b"\xfe"])
def test_refuses_what_json_does_not_allow(raw: bytes) -> None:
    """Also where Python's own reader would take it, or break in another way."""
    with pytest.raises(json.JSONDecodeError):
        loads(raw)


def test_reads_an_exponent_of_any_size_without_expanding_it() -> None:
    """1e999999999 is a short text: it must not become a number of a gigabyte."""
    assert loads(b"1e999999999") == Decimal("1e999999999")


@patient
@given(st.datetimes(timezones=st.just(UTC)), st.text("0123456789abcdef", min_size=32, max_size=32))
def test_reads_back_the_cursors_that_it_writes(at: datetime, order_id: str) -> None:
    """To the microsecond: a cursor that rounds would skip or repeat an order."""
    read_at, read_id = read_cursor(write_cursor(at, order_id), 2)

    assert (read_time(read_at), read_id) == (at, order_id)


@patient
@given(st.text(max_size=40))
def test_refuses_every_other_cursor(cursor: str) -> None:
    """Never an error of another kind."""
    try:
        parts = read_cursor(cursor, 2)
    except InvalidInput as refused:
        assert [field.name for field in refused.fields] == ["cursor"]
    else:
        assert len(parts) == 2


TIMES = st.builds(
    "{:04}-{:02}-01T{:02}:00:00{}".format,
    st.sampled_from([0, 1, 2, 2026, 9998, 9999, 10_000]),
    st.sampled_from([1, 12, 13]),
    st.sampled_from([0, 23, 24]),
    st.sampled_from(["", "Z", "+00:00", "+23:59", "-23:59", "+24:00", "-00:00:00.000001"]),
)
PARTS = st.one_of(
    TIMES, st.text(max_size=30), st.text("0123456789", max_size=40), st.none(), st.integers(), st.floats()
)


@patient
@given(st.lists(PARTS, max_size=3))
@example(["0001-01-01T00:00:00+23:59", "a"])
@example(["9999-12-31T23:59:59-23:59", "a"])
@example(["\0", "\ud800"])
@example(["9" * 5000])
def test_refuses_a_tampered_cursor(parts: list[object]) -> None:
    """Of the right form, with anything in it: what comes through is a value that the database takes."""
    cursor = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")
    readers: list[Callable[[], object]] = [  # those of the lists of orders, of customers and products, of tickets
        lambda: read_time(read_cursor(cursor, 2)[0]),
        lambda: read_cursor(cursor, 1)[0],
        lambda: read_number(read_cursor(cursor, 1)[0]),
    ]
    for read in readers:
        try:
            value = read()
        except InvalidInput as refused:
            assert [field.name for field in refused.fields] == ["cursor"]
        else:
            assert isinstance(value, int | str | datetime)
            assert not isinstance(value, int) or 0 <= value < 2**63
            assert not isinstance(value, str) or (value.isascii() and "\0" not in value)
            assert not isinstance(value, datetime) or value.tzinfo is UTC


def test_draws_the_order_id_from_principal_and_key() -> None:
    """The same for the same request, no two pairs share one however they are cut, and a key alone tells no id."""
    ids = {new_order_id(IDS, *pair) for pair in [("a", "b"), ("a", "bc"), ("ab", "c"), ("a:b", "c"), ("a", "b:c")]}

    assert len(ids) == 5
    assert new_order_id(IDS, "a", "b") == new_order_id(IDS, "a", "b")
    assert new_order_id(Secret(SecretStr("another"), ORDER_IDS), "a", "b") not in ids
    assert all(len(order_id) == 32 and int(order_id, 16) >= 0 for order_id in ids)


def test_draws_another_order_id_each_time_without_a_key() -> None:
    """128 random bits."""
    assert len({new_order_id(IDS, "a", None) for _ in range(1000)}) == 1000


def test_gives_one_fingerprint_to_one_wish_however_it_is_written() -> None:
    """Names, integer ids, defaults, offsets and trailing zeros do not make another wish."""
    plain = wanted(expected_total="49.00", ship_not_before="2026-01-01T12:00:00Z")
    other = OrderWanted.model_validate(
        {
            "paymentMethod": "credit_card",
            "customerId": "123",
            "items": [{"quantity": 2, "productId": "456"}],
            "metadata": {},
            "shippingAddress": None,
            "expectedTotal": Decimal("49"),
            "shipNotBefore": "2026-01-01T13:00:00+01:00",
        }
    )

    assert plain.fingerprint() == other.fingerprint()


@pytest.mark.parametrize(
    "changes",
    [
        {"customer_id": 124},
        {"items": [{"product_id": 456, "quantity": 3}]},
        {"payment_method": "card"},
        {"expected_total": "49.01"},
        {"currency": "USD"},
        {"metadata": {"a": "b"}},
        {"ship_not_before": "2026-01-01T12:00:00Z"},
        {"shipping_address": {"street1": "1", "city": "2", "zip": "3", "country": "US"}},
    ],
    ids=repr,
)
def test_gives_another_fingerprint_to_another_wish(changes: dict[str, Any]) -> None:
    """Every field counts."""
    assert wanted(**changes).fingerprint() != wanted().fingerprint()


def test_merges_lines_in_the_place_of_the_first() -> None:
    """Product -> (index of its first item, sum)."""
    assert merge([Pieces("b", 1), Pieces("a", 2), Pieces("b", 3)]) == {"b": (0, 4), "a": (1, 2)}
