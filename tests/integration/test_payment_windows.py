"""Which payments are compared, page by page, and how a comparison goes on that stopped in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from activities.recovery.payment_windows import CURSOR, CURSOR_AGAIN, DAYS_AGAIN, NewPayments, Page, PaymentsAgain
from adapters.clock import now
from adapters.postgres.database import Sessions, create_sessions
from adapters.stripe.lists import StripeLists
from devstack.stack.stack import Stack
from domain.errors import PaymentNotFound
from domain.recovery import PaymentAtStripe, ReconcileOrders
from services.recovery.cursors import move_cursor, position_of
from services.tables import METADATA
from tests.support.databases import connection, database
from tests.support.large_shop import fill

ORDERS = 250
ASKED = ReconcileOrders(unchanged_for=timedelta(0))
KNOWN = [f"{n:032x}" for n in range(1, ORDERS + 1)]


class Listing(StripeLists):
    """Stripe with two payments a page: what was created in the window, and everything else by its id."""

    def __init__(self, created: list[str], unknown: str) -> None:
        self._created, self._unknown = created, unknown
        self.retrieved: list[str] = []
        self.asked: list[datetime] = []  # since when

    async def payments(
        self, since: datetime, until: datetime, after: str | None = None
    ) -> AsyncIterator[list[PaymentAtStripe]]:
        self.asked.append(since)
        rest = self._created[self._created.index(after) + 1 :] if after else self._created
        for n in range(0, len(rest), 2):
            yield [_payment(one) for one in rest[n : n + 2]]

    async def payment(self, payment_intent_id: str) -> PaymentAtStripe:
        self.retrieved.append(payment_intent_id)
        if payment_intent_id == self._unknown:
            raise PaymentNotFound(payment_intent_id)
        return _payment(payment_intent_id)


def _payment(payment_id: str) -> PaymentAtStripe:
    return PaymentAtStripe(id=payment_id, order_id=payment_id.removeprefix("pi_"), status="succeeded")


@pytest.fixture(scope="module")
async def books(stack: Stack) -> AsyncIterator[Sessions]:
    """A database of its own, in which every order changed half an hour ago."""
    async with database(stack) as url:
        engine: AsyncEngine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.begin() as made:
            await made.run_sync(METADATA.create_all)
        async with connection(url) as mine:
            await fill(mine, ORDERS, timeline=False)
            await mine.execute("UPDATE orders SET updated_at = now() - interval '30 minutes'")
        yield create_sessions(engine)
        await engine.dispose()


@pytest.fixture
async def begun(books: Sessions) -> datetime:
    """When the window began: the comparison before it came to its end there."""
    return await begin(books, now() - timedelta(minutes=50))


async def begin(books: Sessions, at: datetime, cursor: str = CURSOR) -> datetime:
    async with books() as session, session.begin():
        await (await session.connection()).execute(text("DELETE FROM cursors"))
        await move_cursor(session, cursor, at)
    return at


async def reached(books: Sessions, cursor: str = CURSOR) -> tuple[datetime, str | None]:
    async with books() as session:
        at, position = await position_of(session, cursor)
    assert at is not None
    return at, position


def stripe() -> Listing:
    return Listing([f"pi_{one}" for one in [*KNOWN[:3], "elsewhere", KNOWN[3]]], f"pi_{KNOWN[-1]}")


def ids(pages: list[Page]) -> list[str]:
    return [one.id for page in pages for one in page.payments]


async def test_a_window_has_what_stripe_lists_and_what_changed_each_once(books: Sessions, begun: datetime) -> None:
    """What was on the list is not retrieved again; what Stripe does not know is told apart."""
    window = NewPayments(books, listing := stripe(), ASKED)
    pages = [page async for page in window.pages()]
    assert [len(page.payments) for page in pages] == [2, 2, 1, 96, 100, 49]
    assert sorted(ids(pages)) == sorted(f"pi_{one}" for one in [*KNOWN[:-1], "elsewhere"])
    assert [page.unknown for page in pages if page.unknown] == [[f"pi_{KNOWN[-1]}"]]
    assert len(listing.retrieved) == ORDERS - 4
    assert not window.more
    at, position = await reached(books)
    assert at >= begun + timedelta(minutes=50) and position is None


async def test_an_attempt_that_dies_is_gone_on_with_at_its_last_page(books: Sessions, begun: datetime) -> None:
    """Whatever page it dies at: the next one begins with that page, and not with the window."""
    every = [ids([page]) async for page in NewPayments(books, stripe(), ASKED).pages()]
    await begin(books, begun)
    for number in range(len(every)):
        pages = NewPayments(books, stripe(), ASKED).pages()
        first = ids([await anext(pages)])
        assert set(first) >= set(every[number])
        if number + 1 < len(every):
            await anext(pages)
        await pages.aclose()


async def test_an_attempt_ends_when_it_has_done_enough(books: Sessions, begun: datetime) -> None:
    """However many payments a window has, no attempt runs into its time limit: the next one goes on."""
    compared, attempts = set[str](), 0
    while attempts == 0 or (await reached(books))[1] is not None:
        window = NewPayments(books, stripe(), ASKED, enough=timedelta(0))
        pages = [page async for page in window.pages()]
        assert len(pages) <= 1 and window.more
        compared, attempts = compared | set(ids(pages)), attempts + 1
    assert attempts == 7
    assert compared == {f"pi_{one}" for one in [*KNOWN[:-1], "elsewhere"]}


async def test_a_time_of_the_day_is_compared_on_each_day_of_the_last_weeks(books: Sessions) -> None:
    """Also when every look has time for one page only: each goes on at the day and the page of the last one."""
    since = await begin(books, now() - timedelta(minutes=5), CURSOR_AGAIN)
    whole = stripe()
    pages = [page async for page in PaymentsAgain(books, whole, ASKED).pages()]
    assert whole.asked == [since - timedelta(days=days) for days in range(1, DAYS_AGAIN + 1)]
    assert len(pages) == DAYS_AGAIN * 3
    assert (await reached(books, CURSOR_AGAIN))[1] is None

    await begin(books, since, CURSOR_AGAIN)
    bit_by_bit, looks = list[str](), 0
    while looks == 0 or (await reached(books, CURSOR_AGAIN))[1] is not None:
        window = PaymentsAgain(books, stripe(), ASKED, enough=timedelta(0))
        bit_by_bit += ids([page async for page in window.pages()])
        looks += 1
    assert sorted(bit_by_bit) == sorted(ids(pages))
    assert looks == len(pages) + 1
