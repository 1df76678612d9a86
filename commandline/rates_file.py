"""Reads a file of tax or shipping rates, comma-separated: which of the two it is, its heading says.

All that is wrong is told at once, each with its line and column; nothing is sent unless everything is right.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from commandline.failures import Misused
from domain.money import Money
from domain.pricing.rounding import from_percent

TAX = ("country", "region", "category", "rate", "inclusive", "valid_from")
SHIPPING = ("option", "country", "currency", "fee", "free_from", "service", "days", "valid_from")
OPTIONAL = frozenset(["region", "category", "inclusive", "free_from", "service", "days", "fee"])
NEEDED_CELL = {
    "tax_rates": ("country", "rate", "valid_from"),
    "shipping_rates": ("option", "country", "currency", "valid_from"),
}
MOST_ERRORS = 20

MEND = "nothing was imported; docs/money.md describes the form"


class BadRates(Misused):
    """The file cannot be imported; `errors` has each place."""

    def __init__(self, path: Path, errors: Sequence[Mapping[str, str]]) -> None:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{path.name}, {first['field']}: {first['message']}{more}", code="bad_file", mend=MEND)
        self.errors = list(errors)[:MOST_ERRORS]


@dataclass(frozen=True)
class RatesFile:
    """What is sent, and the line on which each rate stands."""

    kind: str  # tax_rates or shipping_rates
    rates: Sequence[Mapping[str, Any]]
    lines: Sequence[int]

    @property
    def body(self) -> dict[str, Any]:
        return {self.kind: list(self.rates)}


def read_rates(path: Path) -> RatesFile:
    """Raises BadRates with everything that is wrong, Misused where there is no such file."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Misused(f"{path.name}: {error.strerror or type(error).__name__}", code="bad_file", mend=MEND) from None
    except UnicodeDecodeError as error:
        raise BadRates(path, [_error(0, "", f"byte {error.start} is not UTF-8")]) from None
    records = list(_records(path, text))
    if not records:
        raise BadRates(path, [_error(1, "", "the file is empty")])
    heading = [name.strip() for name in records[0][1]]
    kind = _kind(path, heading)
    rates, lines, wrong = [], [], []
    for line, fields in records[1:]:
        if not any(field.strip() for field in fields):
            continue
        if len(fields) != len(heading):
            wrong.append(_error(line, "", f"{len(fields)} fields, but the heading has {len(heading)}"))
            continue
        rate, errors = _rate(kind, dict(zip(heading, (field.strip() for field in fields), strict=True)))
        wrong += [_error(line, column, message) for column, message in errors]
        rates.append(rate)
        lines.append(line)
    if wrong:
        raise BadRates(path, wrong)
    if not rates:
        raise BadRates(path, [_error(2, "", "there are no lines after the heading")])
    return RatesFile(kind, rates, lines)


def _records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            yield begins, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadRates(path, [_error(begins, "", f"this is not comma-separated text: {error}")]) from None


def _kind(path: Path, heading: Sequence[str]) -> str:
    for kind, columns in (("tax_rates", TAX), ("shipping_rates", SHIPPING)):
        if columns[0 if kind == "shipping_rates" else 3] not in heading:
            continue
        wrong = [_error(1, name, "there is no such column") for name in heading if name not in columns]
        wrong += [_error(1, name, "this column is there twice") for name in set(heading) if heading.count(name) > 1]
        wrong += [_error(1, name, "this column is missing") for name in columns if name not in {*heading, *OPTIONAL}]
        if wrong:
            raise BadRates(path, wrong)
        return kind
    forms = f"tax rates have {', '.join(TAX)}; shipping rates {', '.join(SHIPPING)}"
    raise BadRates(path, [_error(1, "", f"this is no heading of rates: {forms}")])


def _rate(kind: str, cells: Mapping[str, str]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The rate as the API takes it, and what is wrong by column."""
    rate: dict[str, Any] = {}
    wrong = [(name, "needed") for name in NEEDED_CELL[kind] if not cells.get(name)]
    for name, cell in cells.items():
        if not cell:
            continue
        try:
            rate[name] = READ[name](cell, cells)
        except ValueError as error:
            wrong.append((name, str(error)))
    if kind == "shipping_rates":
        rate.setdefault("fee", None)
    return rate, wrong


def _as_it_is(cell: str, cells: Mapping[str, str]) -> str:
    return cell


def _matching(pattern: str, what: str) -> Callable[[str, Mapping[str, str]], str]:
    def read(cell: str, cells: Mapping[str, str]) -> str:
        if not re.fullmatch(pattern, cell):
            raise ValueError(f"{what} is needed, not {cell[:40]!r}")
        return cell

    return read


def _percent(cell: str, cells: Mapping[str, str]) -> str:
    from_percent(cell)
    return cell


def _yes_or_no(cell: str, cells: Mapping[str, str]) -> bool:
    known = {"yes": True, "true": True, "no": False, "false": False}
    if cell.lower() not in known:
        raise ValueError(f"yes or no is needed, not {cell[:40]!r}")
    return known[cell.lower()]


def _amount(cell: str, cells: Mapping[str, str]) -> str:
    if Money.parse(cell, cells.get("currency") or "USD").minor < 0:
        raise ValueError("an amount is 0 or more")
    return cell


def _day(cell: str, cells: Mapping[str, str]) -> str:
    try:
        return date.fromisoformat(cell).isoformat()
    except ValueError:
        raise ValueError(f"a day like 2026-01-31 is needed, not {cell[:40]!r}") from None


def _count(cell: str, cells: Mapping[str, str]) -> int:
    if not (cell.isascii() and cell.isdigit()):
        raise ValueError(f"a whole number is needed, not {cell[:40]!r}")
    return int(cell)


READ: Mapping[str, Callable[[str, Mapping[str, str]], Any]] = {
    "country": _matching(r"[A-Z]{2}|\*", "a country of two capitals (ISO 3166-1)"),
    "region": _matching(r"[A-Z0-9-]{1,40}", "a region in capitals, as the state of an address"),
    "category": _matching(r"[a-z0-9_-]{1,40}", "a category in small letters"),
    "currency": _matching(r"[A-Z]{3}", "a currency of three capitals (ISO 4217)"),
    "option": _matching(r"[A-Za-z0-9._-]{1,40}", "a name of letters, digits, dots and dashes"),
    "rate": _percent,
    "inclusive": _yes_or_no,
    "fee": _amount,
    "free_from": _amount,
    "service": _as_it_is,
    "days": _count,
    "valid_from": _day,
}


def _error(line: int, column: str, message: str) -> dict[str, str]:
    place = ", ".join([*([f"line {line}"] if line else []), *([f"column {column}"] if column else [])])
    return {"field": place or "file", "message": message}
