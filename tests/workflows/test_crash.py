"""The worker dies at each step, before and after its effect: another one takes over, and nothing is done twice.

All orders run at the same time, each on a queue of its own, since most of the time is waiting for Temporal to find
out that a worker is gone.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

import httpx
import pytest
from temporalio.client import Client

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from devstack.stack.stack import Stack
from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from tests.support.dying_workers import DeathOn, dying_workers
from tests.support.orders import Books, Shop
from tests.support.waiting import until
from worker import Activities, build_worker
from workflows.order_fulfillment import OrderFulfillment

pytestmark = pytest.mark.timeout(240)  # the first test of the module waits for all orders

STEPS = (
    "reserve_inventory",
    "authorize_payment",
    "ship_order",
    "capture_payment",
    "record_shipped",
    "record_delivered",
)
UNDOS = ("cancel_shipment", "return_payment", "release_inventory")

TO_READY = ["order placed", "stock reserved", "payment authorized", "label bought", "payment captured"]
DELIVERED = [*TO_READY, "scanned by the carrier", "delivered"]
CANCELED = [
    *TO_READY,
    "cancel requested, the carrier decides",
    "label voided",
    "cancel accepted",
    "payment refunded",
    "stock released",
    "canceled",
]


class Case(NamedTuple):
    step: str
    moment: str


@dataclass(frozen=True)
class Outcome:
    worker_ended: int
    status: OrderStatus
    books: Books
    authorizations: int
    labels_bought: int
    timeline: list[tuple[int, str]]
    event_sequences: list[int]
    event_types: list[str]


FORWARD = [Case(step, moment) for step in STEPS for moment in ("before", "after")]
BACK = [Case(undo, moment) for undo in UNDOS for moment in ("before", "after")]
Outcomes = dict[Case, "asyncio.Task[Outcome]"]


@pytest.fixture(scope="module")
async def outcomes(
    stack: Stack,
    base_settings: Settings,
    sessions: Sessions,
    temporal_client: Client,
    activities: Activities,
    far_ends: httpx.AsyncClient,
) -> AsyncIterator[Outcomes]:
    """Every case's order, on its way through its crash."""
    cases = {case: f"crash-{secrets.token_hex(4)}" for case in (*FORWARD, *BACK)}
    async with dying_workers(stack, [f"{queue}:{case.step}:{case.moment}" for case, queue in cases.items()]) as died:
        running: Outcomes = {}
        for case, queue in cases.items():
            settings = base_settings.model_copy(update={"task_queue": queue})
            shop = Shop(stack, settings, sessions, temporal_client, far_ends)
            running[case] = asyncio.create_task(_order(case, shop, activities, died))
        yield running
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


async def _arrives(shop: Shop, order_id: str) -> None:
    """The carrier has news once there is a parcel, whichever worker lives then."""
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP, seconds=180)
    handle = shop.client.get_workflow_handle(f"order-{order_id}")
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)


async def _order(case: Case, shop: Shop, activities: Activities, died: DeathOn) -> Outcome:
    """One order through the crash: the second worker begins when the first one is dead."""
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    news = None
    if case in FORWARD:
        news = asyncio.create_task(_arrives(shop, order.order_id))
    else:
        await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP, seconds=90)
        await handle.signal(OrderFulfillment.cancel_order, "crash")
    ended = await died(shop.settings.task_queue)
    async with build_worker(shop.client, shop.settings, activities):
        status = await asyncio.wait_for(handle.result(), 90)
        if news is not None:
            await news
    timeline, events = await shop.timeline(order.order_id), await shop.events(order.order_id)
    return Outcome(
        worker_ended=ended,
        status=status,
        books=await shop.books(order.order_id),
        authorizations=await shop.authorizations(order.order_id),
        labels_bought=await _labels_bought(shop, order.order_id),
        timeline=[(row.sequence, row.what.partition(":")[0]) for row in timeline],
        event_sequences=[event.sequence for event in events],
        event_types=[event.type for event in events],
    )


async def _labels_bought(shop: Shop, order_id: str) -> int:
    url = f"{shop.stack.urls.carrier}/_control/ledger"
    ledger = (await shop.http.get(url, params={"reference": order_id})).raise_for_status().json()
    return sum(entry["kind"] == "label_bought" for entry in ledger)


def _assert_once(outcome: Outcome, story: list[str]) -> None:
    """What happened, happened once: in the timeline, among the events, at Stripe and at the carrier."""
    assert outcome.worker_ended == -signal.SIGKILL
    assert outcome.timeline == list(enumerate(story, start=1))
    assert outcome.event_sequences == list(range(1, len(outcome.event_sequences) + 1))
    assert len(set(outcome.event_types)) == len(outcome.event_types) > 0
    assert (outcome.authorizations, outcome.labels_bought) == (1, 1)


@pytest.mark.parametrize("case", FORWARD, ids="-".join)
async def test_an_order_is_delivered_although_its_worker_died(outcomes: Outcomes, case: Case) -> None:
    """Killed before or after the effect of step k: the order goes on to DELIVERED, charged and shipped once."""
    outcome = await outcomes[case]
    _assert_once(outcome, DELIVERED)
    assert outcome.status is OrderStatus.DELIVERED
    assert outcome.books == Books(status="DELIVERED", payment_status="Captured", on_hand=8, kept=2000, labels=1)


@pytest.mark.parametrize("case", BACK, ids="-".join)
async def test_an_order_is_fully_undone_although_its_worker_died(outcomes: Outcomes, case: Case) -> None:
    """Killed before or after the effect of an undo: the order ends CANCELED, with everything back where it was."""
    outcome = await outcomes[case]
    _assert_once(outcome, CANCELED)
    assert outcome.status is OrderStatus.CANCELED
    assert outcome.books == Books(status="CANCELED", payment_status="Refunded", on_hand=10)
