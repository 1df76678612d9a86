"""Money is exact, in every currency that there is a number of decimals for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.money import (
    MAXIMUM_CHARGE,
    MINIMUM_CHARGE,
    THREE_DECIMAL,
    ZERO_DECIMAL,
    Money,
    charge_refusal,
    decimals,
    total,
)

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
CURRENCIES = st.sampled_from(["USD", "EUR", "JPY", "KRW", "KWD", "BHD"])
MINOR = st.integers(min_value=0, max_value=10**15)
LINES = st.lists(st.tuples(st.integers(1, 100_000), st.integers(0, 10**10)), max_size=50)


@patient
@given(MINOR, CURRENCIES)
def test_what_is_written_as_a_decimal_is_read_back_exactly(minor: int, currency: str) -> None:
    """No amount changes on its way through JSON, with 0, 2 or 3 decimals."""
    money = Money(minor=minor, currency=currency)
    assert Money.parse(money.decimal, currency) == money


@patient
@given(MINOR, CURRENCIES)
def test_a_decimal_has_as_many_digits_as_its_currency(minor: int, currency: str) -> None:
    """Plain digits: no exponent, no sign, no separator, and never a digit more or less than the currency has."""
    whole, point, fraction = Money(minor=minor, currency=currency).decimal.partition(".")
    assert whole.isdecimal()
    assert len(fraction) == decimals(currency)
    assert (point == ".") == (decimals(currency) > 0)
    assert int(whole + fraction) == minor


@patient
@given(LINES, CURRENCIES)
def test_a_total_is_the_exact_sum_of_its_lines(lines: list[tuple[int, int]], currency: str) -> None:
    """The same as adding up decimals, line by line, and independent of the order of the lines."""
    unit = Decimal(1).scaleb(-decimals(currency))
    by_hand = sum((quantity * (price * unit) for quantity, price in lines), Decimal(0))
    assert Decimal(total(lines, currency).decimal) == by_hand
    assert total(lines[::-1], currency) == total(lines, currency)


@patient
@given(LINES, LINES, CURRENCIES)
def test_totals_add_up(some: list[tuple[int, int]], more: list[tuple[int, int]], currency: str) -> None:
    """The total of all lines is the total of some and the total of the others."""
    together = total(some, currency).minor + total(more, currency).minor
    assert total(some + more, currency).minor == together


@patient
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**9, places=4), CURRENCIES)
def test_parsing_never_rounds(amount: Decimal, currency: str) -> None:
    """Either the very amount or a refusal: money is neither lost nor invented."""
    scaled = amount.scaleb(decimals(currency))
    if scaled == scaled.to_integral_value():
        assert Money.parse(amount, currency).minor == scaled
    else:
        with pytest.raises(ValueError, match="decimals"):
            Money.parse(amount, currency)


@pytest.mark.parametrize(
    ("given", "currency", "minor"),
    [
        ("279.98", "USD", 27998),
        ("0.01", "USD", 1),
        ("5", "USD", 500),
        (5, "USD", 500),
        ("5.10", "USD", 510),
        ("5.1", "USD", 510),
        ("500", "JPY", 500),
        ("500.00", "JPY", 500),
        ("1.234", "KWD", 1234),
        (Decimal("19.99"), "EUR", 1999),
        ("1e2", "USD", 10000),
        ("0", "USD", 0),
    ],
)
def test_reads_amounts_in_major_units(given: str | int | Decimal, currency: str, minor: int) -> None:
    """A price as clients and catalogues write it."""
    assert Money.parse(given, currency) == Money(minor=minor, currency=currency)


@pytest.mark.parametrize("given", ["1.001", "0.5e-2", "abc", "", "1,50", "NaN", "Infinity", "-Infinity", "1.2.3"])
def test_refuses_what_is_no_amount(given: str) -> None:
    """A fraction of a cent, words, and numbers that are none."""
    with pytest.raises(ValueError, match=r"decimals|decimal number|finite"):
        Money.parse(given, "USD")


@pytest.mark.parametrize("currency", ["usd", "US", "DOLLAR", "", "U$D"])
def test_refuses_what_is_no_currency_code(currency: str) -> None:
    """Three upper-case letters, as in ISO 4217."""
    with pytest.raises(ValidationError, match="currency"):
        Money(minor=1, currency=currency)


def test_no_currency_has_two_numbers_of_decimals() -> None:
    """The two lists are apart, and hold codes only."""
    assert not ZERO_DECIMAL & THREE_DECIMAL
    assert all(len(code) == 3 and code.isupper() for code in ZERO_DECIMAL | THREE_DECIMAL | set(MINIMUM_CHARGE))


def test_shows_the_currency_behind_the_amount() -> None:
    """As people read it in the trace."""
    assert str(Money.parse("279.98", "USD")) == "279.98 USD"


@pytest.mark.parametrize(
    ("minor", "currency", "why"),
    [
        (0, "USD", None),  # needs no charge
        (49, "USD", "under the smallest chargeable amount, 0.50 USD"),
        (50, "USD", None),
        (49, "JPY", "under the smallest chargeable amount, 50 JPY"),
        (1, "KWD", None),  # no minimum of ours
        (MAXIMUM_CHARGE, "USD", None),
        (MAXIMUM_CHARGE + 1, "USD", "above the largest chargeable amount, 999999.99 USD"),
        (MAXIMUM_CHARGE + 1, "KWD", "above the largest chargeable amount, 99999.999 KWD"),
    ],
)
def test_says_why_an_amount_cannot_be_charged(minor: int, currency: str, why: str | None) -> None:
    """Stripe's bounds, told before the customer's card is asked."""
    refusal = charge_refusal(Money(minor=minor, currency=currency))
    assert (refusal is None) if why is None else (refusal is not None and why in refusal)
