"""The audit's hash chain, and what the API writes down while the database answers, or does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from api.http.audit import COUNTED_FOR, AuditTrail
from services.audit.audit import NewEntry
from services.audit.chain import broken_seal, sealed
from tests.support.waiting import until

ENTRIES: list[dict[str, Any]] = [{"id": number, "by": f"p{number}", "status": 200} for number in (1, 2, 4, 5, 9)]
FIRST = sealed(None, ENTRIES[:2])
SECOND = sealed(FIRST, ENTRIES[2:4])
CHAIN = [FIRST, SECOND]
ENTRY = NewEntry("i", "s", "s", "POST", "/r", "/r/1", 200, "q")


def test_a_chain_fits_what_it_sealed() -> None:
    """Entries behind the last seal are still open."""
    assert broken_seal(CHAIN, ENTRIES) is None
    assert broken_seal([], ENTRIES) is None
    assert (SECOND.number, SECOND.last_id, SECOND.entries) == (2, 5, 2)


def _changed() -> dict[str, tuple[list[Any], list[Any]]]:
    other = [dict(one) for one in ENTRIES]
    other[1]["by"] = "somebody else"
    moved = sealed(None, ENTRIES[:1])
    return {
        "changed": (CHAIN, other),
        "taken out": (CHAIN, ENTRIES[:2] + ENTRIES[3:]),
        "added": (CHAIN, [*ENTRIES[:2], {"id": 3, "by": "x", "status": 200}, *ENTRIES[2:]]),
        "all gone": (CHAIN, []),
        "a seal taken out": ([SECOND], ENTRIES),
        "a seal made anew": ([FIRST, sealed(moved, ENTRIES[2:4])], ENTRIES),
    }


@pytest.mark.parametrize("what", _changed())
def test_whatever_is_changed_is_told(what: str) -> None:
    seals, entries = _changed()[what]
    assert broken_seal(seals, entries) is not None


class Table:
    """Takes entries, unless it is away."""

    def __init__(self) -> None:
        self.rows: list[NewEntry] = []
        self.statements, self.away = 0, False
        self.holds = asyncio.Event()
        self.holds.set()

    async def __call__(self, entries: Sequence[NewEntry]) -> None:
        self.statements += 1
        await self.holds.wait()
        if self.away:
            raise OSError("away")
        self.rows += entries


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    yield Table()


async def test_an_entry_is_written_before_its_answer(table: Table) -> None:
    trail = AuditTrail(table)
    await trail.record(ENTRY)
    assert table.rows == [ENTRY]
    await trail.aclose()


async def test_entries_of_the_same_time_share_a_statement(table: Table) -> None:
    """While one is under way, the others gather."""
    trail = AuditTrail(table)
    table.holds.clear()
    writing = [asyncio.create_task(trail.record(ENTRY)) for _ in range(1)]
    await until(lambda: _count(table), 1)
    writing += [asyncio.create_task(trail.record(ENTRY)) for _ in range(20)]
    await asyncio.sleep(0)
    table.holds.set()
    await asyncio.gather(*writing)
    assert (len(table.rows), table.statements) == (21, 2)
    await trail.aclose()


async def _count(table: Table) -> int:
    return table.statements


async def test_an_entry_that_could_not_be_written_is_written_later(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer goes out all the same: what was done is done."""
    monkeypatch.setattr("api.http.audit.PATIENCE", 0.01)
    monkeypatch.setattr("api.http.audit.RETRY", 0.01)
    trail = AuditTrail(table)
    table.away = True
    await trail.record(ENTRY)
    assert table.rows == []
    table.away = False
    await until(lambda: _rows(table), 1)
    await trail.aclose()


async def _rows(table: Table) -> int:
    return len(table.rows)


async def test_equal_refusals_are_one_entry(table: Table) -> None:
    """Whoever knocks a thousand times writes one row."""
    clock = Clock()
    trail = AuditTrail(table, clock)
    refused = ENTRY._replace(status=403, about="", request_id="")
    for _ in range(1000):
        trail.count(refused)
    await trail.record(ENTRY)
    assert table.rows == [ENTRY]
    clock.now = COUNTED_FOR
    await trail.record(ENTRY)
    await until(lambda: _rows(table), 3)
    assert table.rows.count(refused._replace(times=1000)) == 1
    await trail.aclose()


async def test_what_waits_at_the_end_is_written(table: Table) -> None:
    trail = AuditTrail(table)
    trail.count(ENTRY)
    await trail.aclose()
    assert table.rows == [ENTRY]
