"""Listeners on a book that is a list: no gap, no repeat, whatever comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from api.orders import live as live_module
from api.orders.listener import MOST_WAITING, PING, RETRY, Listener
from api.orders.live import LiveOrders
from domain.errors import Unavailable
from domain.order_states import OrderStatus as S
from services.insight.orders import Timeline
from tests.support.waiting import until

NEVER = 1e6  # seconds


class Book:
    """Timelines in memory. A read can be held, so that things happen while it is under way, and can fail."""

    def __init__(self) -> None:
        self.rows: dict[str, list[S]] = {}
        self.reads: list[dict[str, int]] = []
        self.error: Exception | None = None
        self.free = asyncio.Event()
        self.free.set()
        self.read_begins = asyncio.Event()
        self.wake: Callable[[str], None] = lambda payload: None
        self.heard: Callable[[], None] = lambda: None
        self.listens = 0

    def write(self, order_id: str, *states: S, told: bool = True) -> None:
        self.rows.setdefault(order_id, []).extend(states)
        if told:
            self.wake(order_id)

    async def read(self, seen: Mapping[str, int]) -> dict[str, Timeline]:
        self.reads.append(dict(seen))
        found = {one: self._timeline(one, after) for one, after in seen.items() if one in self.rows}
        self.read_begins.set()
        await self.free.wait()
        if self.error is not None:
            raise self.error
        return found

    def _timeline(self, order_id: str, after: int) -> Timeline:
        rows = self.rows[order_id]
        at = datetime(2026, 11, 2, tzinfo=UTC).isoformat()
        entries: list[dict[str, Any]] = [
            {"sequence": number, "at": at, "from": rows[number - 2] if number > 1 else None, "to": to, "what": "it"}
            for number, to in enumerate(rows, start=1)
        ]
        return Timeline(rows[-1], len(rows), entries[after:])

    async def listen(self, heard: Callable[[], None], named: Callable[[str], None]) -> None:
        self.heard, self.wake = heard, named
        self.listens += 1
        heard()
        await asyncio.Event().wait()


class Client:
    """Reads one stream, as fast as it is let."""

    def __init__(self, live: LiveOrders, listener: Listener) -> None:
        self._live, self.listener = live, listener
        self.got: list[int] = []
        self.changed = asyncio.Condition()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for chunk in self.listener.frames(NEVER):
            ids = [int(line[4:]) for line in chunk.decode().splitlines() if line.startswith("id: ")]
            async with self.changed:
                self.got += ids
                self.changed.notify_all()
        self._live.leave(self.listener)

    async def has(self, *ids: int) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: self.got == [*ids])

    async def ends(self) -> list[int]:
        async with asyncio.timeout(10):
            await self.task
        return self.got


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def live(book: Book) -> AsyncIterator[LiveOrders]:
    live = LiveOrders(book.read, book.listen, 10, first_poll=NEVER)
    yield live
    live.close()
    await live.aclose()


def client(live: LiveOrders, order_id: str = "a", after: int = 0) -> Client:
    return Client(live, live.join(order_id, after))


async def test_sends_the_rows_so_far_and_then_each_new_one(book: Book, live: LiveOrders) -> None:
    """A listener gets what its client does not have; one of another order nothing of it."""
    book.write("a", S.PLACED, S.RESERVED)
    book.write("b", S.PLACED)
    first, resumed, other = client(live), client(live, after=2), client(live, "b")
    await first.has(1, 2)
    await other.has(1)
    book.write("a", S.CONFIRMED)
    await first.has(1, 2, 3)
    await resumed.has(3)
    assert other.got == [1]


async def test_a_row_that_is_written_while_a_listener_comes_is_neither_lost_nor_repeated(
    book: Book, live: LiveOrders
) -> None:
    """The order is read as it was before the row; the row's notification comes before the answer of that read."""
    book.write("a", S.PLACED)
    book.free.clear()
    first = client(live)
    await asyncio.wait_for(book.read_begins.wait(), 10)
    book.write("a", S.RESERVED)
    second = client(live)  # while the answer of a read that does not fit it is on its way
    book.write("a", S.CONFIRMED)
    book.free.set()
    await first.has(1, 2, 3)
    await second.has(1, 2, 3)


async def test_a_late_listener_gets_no_rows_of_a_read_that_began_behind_its_first_one(
    book: Book, live: LiveOrders
) -> None:
    """Otherwise the rows before those of that read would be missing."""
    book.write("a", S.PLACED, S.RESERVED)
    ahead = client(live, after=2)
    await asyncio.wait_for(ahead.listener.began, 10)
    book.read_begins.clear()
    book.free.clear()
    book.write("a", S.CONFIRMED)
    await asyncio.wait_for(book.read_begins.wait(), 10)
    late = client(live)
    book.free.set()
    await late.has(1, 2, 3)
    assert ahead.got == [3]
    assert book.reads[-2:] == [{"a": 2}, {"a": 0}]


async def test_ends_with_the_order_when_all_is_sent(book: Book, live: LiveOrders) -> None:
    """What was written before the end is sent before the stream ends."""
    book.write("a", S.PLACED)
    watching = client(live)
    await watching.has(1)
    book.write("a", S.RESERVED, S.REJECTED)
    assert await watching.ends() == [1, 2, 3]
    assert await client(live, after=1).ends() == [2, 3]
    assert live.count == 0


async def test_says_how_an_order_stood_when_it_was_first_looked_at(book: Book, live: LiveOrders) -> None:
    """For an order that is over there is nothing to wait for; one that does not exist is None."""
    book.write("a", S.PLACED, S.REJECTED)
    found = await asyncio.wait_for(live.join("a", 2).began, 10)
    assert found is not None
    assert (found.status, found.version, found.entries) == (S.REJECTED, 2, [])
    assert await asyncio.wait_for(live.join("nowhere", 0).began, 10) is None


async def test_drops_who_does_not_read_and_serves_the_others(book: Book) -> None:
    """Nothing waits for a client without an end; the dropped one may resume after its last row."""
    dropped: list[None] = []
    live = LiveOrders(book.read, book.listen, 10, lambda: dropped.append(None), NEVER)
    book.write("a", S.PLACED)
    reading, asleep = client(live), live.join("a", 0)
    await reading.has(1)
    for number in range(2, MOST_WAITING + 2):
        assert not asleep.dropped.is_set()
        book.write("a", S.PLACED)
        await reading.has(*range(1, number + 1))
    assert asleep.dropped.is_set()
    assert (len(dropped), live.count) == (1, 1)
    assert [chunk async for chunk in asleep.frames()] == [RETRY]
    await live.aclose()


async def test_finds_by_itself_what_no_notification_told_of(book: Book) -> None:
    """A lost notification delays a row and loses none; with nothing new a look costs ever more seldom."""
    live = LiveOrders(book.read, book.listen, 10, first_poll=0.01)
    book.write("a", S.PLACED)
    watching = client(live)
    await watching.has(1)
    book.write("a", S.RESERVED, told=False)
    await watching.has(1, 2)
    await live.aclose()


async def test_looks_at_every_order_when_notifications_may_have_been_missed(book: Book, live: LiveOrders) -> None:
    """The connection that listens was lost, and is back."""
    book.write("a", S.PLACED)
    book.write("b", S.PLACED)
    first, second = client(live), client(live, "b")
    await first.has(1)
    await second.has(1)
    book.write("a", S.RESERVED, told=False)
    book.write("b", S.RESERVED, told=False)
    book.heard()
    await first.has(1, 2)
    await second.has(1, 2)


async def test_refuses_new_listeners_while_the_book_cannot_be_read_and_keeps_the_others(
    book: Book, live: LiveOrders
) -> None:
    """Who has begun to listen goes on as soon as the book is back."""
    book.write("a", S.PLACED)
    watching = client(live)
    await watching.has(1)
    book.error = OSError("away")
    with pytest.raises(OSError, match="away"):
        await asyncio.wait_for(live.join("b", 0).began, 10)
    book.write("a", S.RESERVED)
    book.error = None
    await watching.has(1, 2)
    assert live.count == 1


async def test_an_order_that_cannot_be_shown_is_nobody_elses_trouble(book: Book, live: LiveOrders) -> None:
    """E.g. one in a state that only a later version knows, during a rollout."""
    book.write("a", S.PLACED)
    watching = client(live)
    await watching.has(1)
    book.rows["b"] = ["FOLDED"]  # type: ignore[list-item]
    broken = live.join("b", 0)
    book.write("a", S.RESERVED)
    with pytest.raises(ValueError, match="FOLDED"):
        await asyncio.wait_for(broken.began, 10)
    await watching.has(1, 2)


async def test_takes_no_more_listeners_than_it_may(book: Book) -> None:
    """One that leaves makes room."""
    live = LiveOrders(book.read, book.listen, 1, first_poll=NEVER)
    first = live.join("a", 0)
    with pytest.raises(Unavailable) as refused:
        live.join("b", 0)
    assert refused.value.code == "too_many_listeners"
    live.leave(first)
    live.leave(first)
    assert (live.join("b", 0).order_id, live.count) == ("b", 1)
    await live.aclose()


async def test_the_end_of_the_process_ends_all_streams_at_once(
    book: Book, live: LiveOrders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is still sent; who does not read it is cut off; new listeners are sent elsewhere."""
    monkeypatch.setattr(live_module, "LAST_WORDS", 0.01)
    book.write("a", S.PLACED)
    watching, asleep = client(live), live.join("a", 0)
    await watching.has(1)
    live.close()
    assert await watching.ends() == [1]
    await asyncio.wait_for(asleep.dropped.wait(), 10)
    with pytest.raises(Unavailable):
        live.join("a", 0)


async def test_a_process_without_listeners_does_not_listen(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a connection nor a poll, a while after the last one left; the next one starts both again."""
    monkeypatch.setattr(live_module, "LINGER", 0.01)
    live = LiveOrders(book.read, book.listen, 10, first_poll=0.01)
    book.write("a", S.PLACED, S.REJECTED)
    for listens in (1, 2):
        assert await client(live).ends() == [1, 2]
        assert book.listens == listens
        await until(partial(is_running, live), False)


async def is_running(live: LiveOrders) -> bool:
    return live.is_running


async def test_pings_a_silent_client() -> None:
    """So that a proxy keeps the connection, and a client that is gone is noticed."""
    frames = Listener("a", 0).frames(ping_every=0.01)
    assert [await anext(frames) for _ in range(3)] == [RETRY, PING, PING]
