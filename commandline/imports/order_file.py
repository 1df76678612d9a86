"""Reads an order file: comma-separated invoice lines in the form of the UCI data set "Online Retail".

A file that cannot be such a file is refused as a whole, naming line and column; a bad line in a good file is not:
what becomes of it is decided in `order_lines.py`. https://archive.ics.uci.edu/dataset/352/online+retail
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from commandline.failures import Misused

COLUMNS = (
    "InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country",
)  # fmt: skip


class BadFile(Misused):
    """The file cannot be read as an order file; nothing was placed."""

    def __init__(self, path: Path, said: str, *, line: int | None = None, column: str | None = None) -> None:
        where = "".join([f", line {line}" if line else "", f", column {column}" if column else ""])
        super().__init__(
            f"{path.name}{where}: {said}",
            code="bad_file",
            mend="nothing was placed; docs/cli.md describes the form",
            line=line,
            column=column,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One line as it stands in the file, blanks around its fields cut off; `number` counts from 1, the heading."""

    number: int
    fields: int  # how many the line has; 0 for a blank one
    invoice: str
    stock_code: str
    description: str
    quantity: str
    date: str
    unit_price: str
    customer: str
    country: str


@dataclass(frozen=True)
class OrderFile:
    name: str
    identity: str  # SHA-256 of its content: the same file under another name is the same file
    columns: int
    rows: list[Row]


def read_order_file(path: Path, encoding: str = "utf-8") -> OrderFile:
    """Raises BadFile."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadFile(path, error.strerror or type(error).__name__) from None
    if not raw.strip():
        raise BadFile(path, "the file is empty", line=1)
    text = _decoded(path, raw, encoding)
    records = _records(path, text)
    heading = [name.strip() for name in next(records)[1]]
    for column in COLUMNS:
        if column not in heading:
            there = ", ".join(name[:40] for name in heading[:12])
            raise BadFile(path, f"this column is missing; there are: {there}", line=1, column=column)
        if heading.count(column) > 1:
            raise BadFile(path, "this column is there twice", line=1, column=column)
    at = [heading.index(column) for column in COLUMNS]
    rows = [_row(number, fields, at, len(heading)) for number, fields in records]
    if not rows:
        raise BadFile(path, "there are no lines after the heading", line=2)
    return OrderFile(path.name, hashlib.sha256(raw).hexdigest(), len(heading), rows)


def _row(number: int, fields: list[str], at: list[int], columns: int) -> Row:
    blank = not any(field.strip() for field in fields)
    known = fields if len(fields) == columns else [*fields, *[""] * (columns - len(fields))]
    return Row(number, 0 if blank else len(fields), *(known[index].strip() for index in at))


def _decoded(path: Path, raw: bytes, encoding: str) -> str:
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise Misused(f"--encoding: there is no encoding {encoding!r}") from None
    try:
        text = raw.decode("utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as error:
        line, column = _place(raw[: error.start].decode(encoding, errors="replace"))
        said = f"byte 0x{raw[error.start]:02x} is not {encoding}"
        raise BadFile(path, f"{said}; --encoding names another one, e.g. cp1252", line=line, column=column) from None
    if "\0" in text:
        line, column = _place(text[: text.index("\0")])
        raise BadFile(path, "a NUL byte: this is no text file", line=line, column=column)
    return text


def _place(before: str) -> tuple[int, str | None]:
    """The line that the text `before` ends in, and the name of the column."""
    line = before.count("\n") + 1
    names = next(csv.reader([before.partition("\n")[0]]), []) if line > 1 else []
    fields = next(csv.reader([before.rpartition("\n")[2]]), [])
    index = max(len(fields) - 1, 0)
    return line, names[index].strip() if index < len(names) else None


def _records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The file's records with the number of the line on which each begins: a quoted field may hold line ends."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadFile(path, f"this is not comma-separated text: {error}", line=begins) from None
        yield begins, fields
