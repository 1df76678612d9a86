"""A file of rates is read as a whole: all that is wrong is named by line and column, and then nothing is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from commandline.rates_file import BadRates, read_rates

TAX = "country,region,category,rate,inclusive,valid_from\n"
SHIPPING = "option,country,currency,fee,free_from,service,days,valid_from\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rates.csv"


def wrong(file: Path, text: str) -> list[tuple[str, str]]:
    file.write_text(text)
    with pytest.raises(BadRates) as refused:
        read_rates(file)
    assert refused.value.exit_code == 2
    return [(error["field"], error["message"]) for error in refused.value.errors]


def test_reads_tax_rates_with_what_is_left_out(file: Path) -> None:
    """Blank lines and a byte order mark are passed over; an empty cell is no value."""
    file.write_text(f"\ufeff{TAX}US,IL,,8.25,no,2026-01-01\n\nDE,,books,7,yes,2026-01-01\n")
    read = read_rates(file)
    assert read.body == {
        "tax_rates": [
            {"country": "US", "region": "IL", "rate": "8.25", "inclusive": False, "valid_from": "2026-01-01"},
            {"country": "DE", "category": "books", "rate": "7", "inclusive": True, "valid_from": "2026-01-01"},
        ]
    }
    assert read.lines == [2, 4]


def test_reads_shipping_rates_of_which_one_ends(file: Path) -> None:
    """No fee is no offer any more, not a free one."""
    file.write_text(f"{SHIPPING}std,US,USD,5.95,50,Ground,4,2026-01-01\nstd,*,EUR,,,,,2026-02-01\n")
    first, second = read_rates(file).rates
    assert (first["fee"], first["free_from"], first["service"], first["days"]) == ("5.95", "50", "Ground", 4)
    assert second == {"option": "std", "country": "*", "currency": "EUR", "fee": None, "valid_from": "2026-02-01"}


def test_names_every_cell_that_is_wrong(file: Path) -> None:
    """With its line and column, and what is needed instead."""
    found = wrong(file, f"{TAX}us,,,8.25,no,2026-01-01\nUS,,,101,maybe,01.02.2026\nUS,,,,no,2026-01-01\n")
    assert [place for place, _ in found] == [
        "line 2, column country",
        "line 3, column rate",
        "line 3, column inclusive",
        "line 3, column valid_from",
        "line 4, column rate",
    ]
    assert found[0][1] == "a country of two capitals (ISO 3166-1) is needed, not 'us'"
    assert found[-1][1] == "needed"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "line 1", "the file is empty"),
        (TAX, "line 2", "there are no lines after the heading"),
        ("a,b\n1,2\n", "line 1", "this is no heading of rates"),
        ("country,rate,valid_from,vat\n", "line 1, column vat", "there is no such column"),
        ("country,rate\n", "line 1, column valid_from", "this column is missing"),
        (f"{TAX}US,IL\n", "line 2", "2 fields, but the heading has 6"),
        (f'{TAX}"US,IL\n', "line 2", "this is not comma-separated text"),
        (f"{SHIPPING}std,JP,JPY,5.95,,,,2026-01-01\n", "line 2, column fee", "5.95 has more than 0 decimals"),
        (f"{SHIPPING}std,US,USD,-1,,,,2026-01-01\n", "line 2, column fee", "an amount is 0 or more"),
    ],
)
def test_refuses_what_is_no_such_file(file: Path, text: str, place: str, words: str) -> None:
    """The first place that is wrong, in words."""
    [(field, message), *_] = wrong(file, text)
    assert field == place
    assert message.startswith(words)
