"""Order files as they are read: what is refused as a whole, by line and column, and what every line then holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from commandline.failures import USAGE, Misused
from commandline.imports.order_file import COLUMNS, BadFile, OrderFile, read_order_file

HEADING = ",".join(COLUMNS)
LINE = "536365,85123A,WHITE HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom"


def read(folder: Path, content: str | bytes, encoding: str = "utf-8") -> OrderFile:
    file = folder / "orders.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_order_file(file, encoding)


def test_reads_each_line_with_its_number_and_without_stray_blanks(tmp_path: Path) -> None:
    """Line 1 is the heading; blanks around a field say nothing."""
    (row,) = read(
        tmp_path, f"{HEADING}\n536365, 85123A , WHITE HEART ,6,2010-12-01 08:26:00,2.55,17850.0,EIRE \n"
    ).rows
    assert (row.number, row.invoice, row.stock_code) == (2, "536365", "85123A")
    assert (row.description, row.quantity, row.unit_price, row.customer, row.country) == (
        "WHITE HEART",
        "6",
        "2.55",
        "17850.0",
        "EIRE",
    )


def test_takes_columns_in_any_order_and_leaves_others_aside(tmp_path: Path) -> None:
    """Spreadsheets add and move columns; the heading says which is which."""
    content = f"Note,{','.join(reversed(COLUMNS))}\nx,{','.join(reversed(LINE.split(',')))}\n"
    (row,) = read(tmp_path, content).rows
    assert (row.invoice, row.country) == ("536365", "United Kingdom")


def test_reads_what_spreadsheets_write_before_and_between_lines(tmp_path: Path) -> None:
    """A byte order mark, CR LF, and a quoted field with comma, quotes and a line end, after which numbers go on."""
    content = f'\ufeff{HEADING}\r\n536365,1,"A ""B"", C\r\nD",6,2010-12-01 08:26:00,2.55,,\r\n{LINE}\r\n'
    first, second = read(tmp_path, content).rows
    assert first.description == 'A "B", C\r\nD'
    assert (first.number, second.number) == (2, 4)


def test_counts_the_fields_of_odd_lines_instead_of_refusing_the_file(tmp_path: Path) -> None:
    """One bad line among half a million is a line to skip, whatever it lacks."""
    rows = read(tmp_path, f"{HEADING}\n{LINE}\n536366,1,X\n{LINE},more\n,,,,,,,\n\n").rows
    assert [row.fields for row in rows] == [8, 3, 9, 0, 0]


def test_knows_the_same_content_under_another_name(tmp_path: Path) -> None:
    """The identity that keys are made of is the content's."""
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    for file in (one, other):
        file.write_text(f"{HEADING}\n{LINE}\n")
    assert read_order_file(one).identity == read_order_file(other).identity
    other.write_text(f"{HEADING}\n{LINE}\n{LINE}\n")
    assert read_order_file(one).identity != read_order_file(other).identity


def test_reads_another_encoding_when_told(tmp_path: Path) -> None:
    """The data set also goes about as Windows-1252."""
    content = f"{HEADING}\n{LINE.replace('HEART', '£5')}\n".encode("cp1252")
    (row,) = read(tmp_path, content, "cp1252").rows
    assert row.description == "WHITE £5"


@pytest.mark.parametrize(
    ("content", "line", "column", "said"),
    [
        (b"", 1, None, "empty"),
        (b" \n\n", 1, None, "empty"),
        (f"{HEADING}\n".encode(), 2, None, "no lines"),
        (b"InvoiceNo,StockCode\n1,2\n", 1, "Description", "missing"),
        (HEADING.replace(",", ";").encode() + b"\n1;2\n", 1, "InvoiceNo", "missing"),
        (b'{"orders": []}', 1, "InvoiceNo", "missing"),
        (f"{HEADING},Country\n{LINE},x\n".encode(), 1, "Country", "twice"),
        (f"{HEADING}\n{LINE}\n".encode() + b"536366,1,\xa35 OFF,1,,,,\n", 3, "Description", "0xa3 is not utf-8"),
        (f"{HEADING}\n{LINE}".encode("utf-16"), 1, None, "is not utf-8"),
        (f"{HEADING}\n536366,1\0,X,1,,,,\n".encode(), 2, "StockCode", "NUL"),
        (f'{HEADING}\n{LINE}\n536366,"1,X,1,,,,\n{LINE}\n'.encode(), 3, None, "comma-separated"),
        (f'{HEADING}\n536366,"1"2,X,1,,,,\n'.encode(), 2, None, "comma-separated"),
    ],
    ids=[
        "empty", "only blank", "only a heading", "missing columns", "semicolons", "json", "a column twice",
        "latin-1", "utf-16", "NUL", "an open quote", "a quote in a field",
    ],
)  # fmt: skip
def test_refuses_a_bad_file_naming_line_and_column(
    tmp_path: Path, content: bytes, line: int, column: str | None, said: str
) -> None:
    """As a whole, as a wrong call, before anything could be placed."""
    with pytest.raises(BadFile) as caught:
        read(tmp_path, content)
    failure = caught.value
    assert (failure.exit_code, failure.members["line"], failure.members["column"]) == (USAGE, line, column)
    assert said in failure.detail and failure.detail.startswith(f"orders.csv, line {line}")
    assert "nothing was placed" in failure.mend


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Also a folder in a file's place."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(BadFile):
            read_order_file(path)


def test_refuses_an_encoding_that_does_not_exist(tmp_path: Path) -> None:
    """That is the option's mistake, not the file's."""
    with pytest.raises(Misused, match="--encoding"):
        read(tmp_path, f"{HEADING}\n{LINE}\n", "klingon")
