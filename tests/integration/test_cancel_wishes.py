"""A wish to cancel is recorded once, whoever records it how often; equal refusals share one row of the timeline."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.database import Sessions
from domain.commands import CancelRequest, RecordCancel
from domain.events import EventName
from domain.order_states import OrderStatus
from domain.steps import FenceState
from services.orders import cancel_wishes
from services.orders.book import OrderBook
from tests.support.orders import Shop
from tests.support.reconciling import recover
from tests.support.steps import Steps
from tests.support.waiting import until
from tests.support.wishes import wishes_recorded

SHIPPED = "already_shipped"


@pytest.fixture
async def order_id(shop: Shop) -> str:
    return (await shop.put(await shop.product())).order_id


@pytest.fixture
def writes(engine: AsyncEngine) -> AsyncEngine:
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def wish(order_id: str, wish_id: str = "", number: int = 1, code: str = SHIPPED) -> RecordCancel:
    return RecordCancel(order_id=order_id, number=number, request=CancelRequest(wish_id=wish_id), code=code)


async def told(shop: Shop, order_id: str) -> Counter[str]:
    return Counter(row.what for row in await shop.timeline(order_id))


async def events(shop: Shop, order_id: str) -> Counter[str]:
    return Counter(event.type for event in await shop.events(order_id))


@pytest.mark.parametrize("step", ["record_cancel_request", "record_cancel_refusal"])
async def test_a_wish_that_another_workflow_records_again_writes_nothing(
    shop: Shop, steps: Steps, order_id: str, step: str
) -> None:
    """A recovery counts anew: the wish is known by its id, not by its number."""
    code = "cancel_accepted" if step == "record_cancel_request" else SHIPPED
    await steps.run_with(step, wish(order_id, "w", number=1, code=code))
    written = await steps.written(order_id)

    await steps.run_with(step, wish(order_id, "w", number=7, code=code))

    assert await steps.written(order_id) == written


async def test_wishes_without_an_id_are_told_apart_by_their_number(shop: Shop, steps: Steps, order_id: str) -> None:
    """A person's signals: each is a wish, a repeat of one's record is not."""
    for number in (1, 2, 2, 3):
        await steps.run_with("record_cancel_refusal", wish(order_id, number=number))

    assert await wishes_recorded(shop, order_id) == {f"number-{number}": SHIPPED for number in (1, 2, 3)}


async def test_equal_refusals_share_one_row_and_one_event(shop: Shop, steps: Steps, order_id: str) -> None:
    """Each is counted; another code has a row of its own."""
    for number in range(5):
        await steps.run_with("record_cancel_refusal", wish(order_id, f"w{number}", number))
    await steps.run_with("record_cancel_refusal", wish(order_id, "late", 9, code="already_delivered"))

    assert Counter((await wishes_recorded(shop, order_id)).values()) == {SHIPPED: 5, "already_delivered": 1}
    timeline = await told(shop, order_id)
    assert (timeline["cancel refused: already_shipped"], timeline["cancel refused: already_delivered"]) == (1, 1)
    assert (await events(shop, order_id))[EventName.CANCEL_REFUSED.type] == 2


async def test_a_refusal_stays_as_it_was_first_told(shop: Shop, steps: Steps, order_id: str) -> None:
    """The API told "shipped" by the rows; the workflow hears of the wish when the parcel is delivered."""
    await steps.run_with("record_cancel_refusal", wish(order_id, "w"))
    await steps.run_with("record_cancel_refusal", wish(order_id, "w", code="already_delivered"))
    await steps.run_with("record_cancel_request", wish(order_id, "w", code="carrier_decides"))

    assert await wishes_recorded(shop, order_id) == {"w": SHIPPED}
    assert (await told(shop, order_id)).total() == 2


async def test_what_the_carrier_decided_replaces_that_it_decides(shop: Shop, steps: Steps, order_id: str) -> None:
    """One wish, asked and refused: two rows of the timeline, one record."""
    await steps.run_with("record_cancel_request", wish(order_id, "w", code="carrier_decides"))
    await steps.run_with("record_cancel_refusal", wish(order_id, "w"))

    assert await wishes_recorded(shop, order_id) == {"w": SHIPPED}
    assert [row.what for row in await shop.timeline(order_id)][1:] == [
        "cancel requested, the carrier decides: requested",
        "cancel refused: already_shipped",
    ]


async def test_wishes_refused_at_the_same_time_by_rows_and_workflow_count_once_each(
    shop: Shop, steps: Steps, sessions: Sessions, writes: AsyncEngine, order_id: str
) -> None:
    """Twenty wishes, each recorded by the API and by the workflow's activity at once: twenty, in one row."""
    book = OrderBook(sessions)
    both = [
        attempt
        for number in range(20)
        for attempt in (
            cancel_wishes.refuse_by_row(writes, book, order_id, f"w{number}", "customer", SHIPPED),
            steps.run_with("record_cancel_refusal", wish(order_id, f"w{number}", number)),
        )
    ]

    await asyncio.gather(*both)

    assert await wishes_recorded(shop, order_id) == {f"w{number}": SHIPPED for number in range(20)}
    assert (await told(shop, order_id))["cancel refused: already_shipped"] == 1
    assert (await events(shop, order_id))[EventName.CANCEL_REFUSED.type] == 1


async def test_the_rows_wait_for_the_workflow_that_records_the_same_wish(
    shop: Shop, steps: Steps, sessions: Sessions, writes: AsyncEngine, order_id: str
) -> None:
    """Both lock the order first: the other way round they wait for each other, and the database ends one of them."""
    book = OrderBook(sessions)
    await steps.run_with("record_cancel_refusal", wish(order_id, "first"))
    async with book.locked(order_id) as order:
        by_rows = asyncio.create_task(cancel_wishes.refuse_by_row(writes, book, order_id, "w", "customer", SHIPPED))
        await until(lambda: waits_for_a_lock(sessions), True)
        await cancel_wishes.refuse(order, "w", "customer", SHIPPED)
        await order.session.flush()
    await by_rows

    assert await wishes_recorded(shop, order_id) == {"first": SHIPPED, "w": SHIPPED}


async def waits_for_a_lock(sessions: Sessions) -> bool:
    """Whether a statement about cancel wishes waits; no other test of this process runs meanwhile."""
    query = text("""
        SELECT count(*) > 0 FROM pg_stat_activity
         WHERE wait_event_type = 'Lock' AND query LIKE '%cancel_wishes%' AND datname = current_database()
    """)
    async with sessions() as session:
        return bool((await (await session.connection()).execute(query)).scalar_one())


async def test_a_wish_that_the_carrier_was_asked_about_is_refused_by_the_rows(
    shop: Shop, steps: Steps, sessions: Sessions, writes: AsyncEngine, order_id: str
) -> None:
    """The scan is in the books before the workflow has said so, for the first wish and for a second one."""
    book = OrderBook(sessions)
    for wish_id in ("w1", "w2"):
        await steps.run_with("record_cancel_request", wish(order_id, wish_id, code="carrier_decides"))
        await cancel_wishes.refuse_by_row(writes, book, order_id, wish_id, "customer", SHIPPED)

    assert await wishes_recorded(shop, order_id) == {"w1": SHIPPED, "w2": SHIPPED}
    assert (await told(shop, order_id))["cancel refused: already_shipped"] == 1


@pytest.mark.parametrize(
    ("step", "fence"),
    [("record_cancel_request", "cancel_request_1"), ("record_cancel_refusal", "cancel_refusal_1")],
)
async def test_what_was_recorded_before_wishes_had_ids_is_not_recorded_again(
    shop: Shop, steps: Steps, sessions: Sessions, order_id: str, step: str, fence: str
) -> None:
    """An attempt of the release before whose answer was lost is repeated by this one."""
    async with OrderBook(sessions).locked(order_id) as order:
        order.mark(fence, FenceState.DONE, {})
    await steps.run_with(step, wish(order_id, "w", code=SHIPPED if "refusal" in step else "carrier_decides"))

    assert await wishes_recorded(shop, order_id) == {}
    assert (await told(shop, order_id)).total() == 1


async def test_a_recovery_counts_on_behind_all_that_was_recorded(
    shop: Shop, steps: Steps, sessions: Sessions, order_id: str
) -> None:
    """Wishes of this release and fences of the one before: a number is never used again."""
    async with OrderBook(sessions).locked(order_id) as order:
        order.mark("cancel_request_1", FenceState.DONE, {})
        order.mark("cancel_refusal_1", FenceState.DONE, {})
    await steps.run_with("record_cancel_refusal", wish(order_id, "w", number=2))
    await steps.run_with("record_cancel_refusal", wish(order_id, number=3))

    assert await recover(shop, order_id)

    handle = shop.client.get_workflow_handle(f"order-{order_id}")
    started = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    [given] = await shop.client.data_converter.decode(started.input.payloads)
    await handle.terminate()
    assert given["cancels"] == 4
    assert await shop.status(order_id) is OrderStatus.PLACED
