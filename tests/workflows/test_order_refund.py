"""A refund's workflow: answers early, waits for the bank without an end, survives its worker, starts once."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from adapters.settings import Settings
from adapters.temporal.client import order_of, refund_workflow_id
from devstack.stack.stack import Stack
from domain.errors import OurMistake, TryAgain
from domain.money import Money
from domain.order_states import OrderStatus
from domain.refunds import GiveRefund, RefundState
from domain.repairs import RepairDecision, Resolution
from engine.refunds import start_refund
from events import refund_starts
from events.refund_starts import RefundSweep
from tests.support.disclosure import payloads
from tests.support.dying_workers import dying_workers
from tests.support.encryption import clear_history
from tests.support.fakes import StepFaults
from tests.support.orders import Shop
from tests.support.refunds import RefundSteps, ask
from tests.support.waiting import until
from worker import Activities, build_worker
from workflows.order.search_attributes import CUSTOMER_ID
from workflows.order_fulfillment import OrderFulfillment
from workflows.order_refund import OrderRefund

Handle = WorkflowHandle[OrderRefund, RefundState]
FIVE = Money(minor=500, currency="USD")
SOON = timedelta(milliseconds=10)


@pytest.fixture
def settings(base_settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """With a task queue of the test's own; the parameter is the budget of a request."""
    own = {"task_queue": f"refunds-{secrets.token_hex(4)}", "checkout_budget": getattr(request, "param", 60.0)}
    return base_settings.model_copy(update=own)


@pytest.fixture
async def refunds(refunds: RefundSteps, shop: Shop) -> AsyncIterator[RefundSteps]:
    yield refunds
    await shop.no_faults()


@pytest.fixture
async def refund(refunds: RefundSteps) -> GiveRefund:
    """Asked for and not started."""
    return await refunds.put(await refunds.captured(to="record_delivered"))


async def start(shop: Shop, refund: GiveRefund) -> Handle:
    await start_refund(shop.client, shop.settings, refund, FIVE, "c-1")
    return handle_of(shop.client, refund)


def handle_of(client: Client, refund: GiveRefund) -> Handle:
    return client.get_workflow_handle(refund_workflow_id(refund.order_id, refund.key), result_type=RefundState)


async def ended(handle: Handle) -> RefundState:
    return RefundState(await asyncio.wait_for(handle.result(), 60))


async def test_a_refund_can_be_read_in_the_web_ui(
    shop: Shop, refunds: RefundSteps, refund: GiveRefund, worker: None
) -> None:
    """Its summary tells the amount, it is found by its customer, each step says what it does, and no free text."""
    handle = await start(shop, refund)
    assert await ended(handle) is RefundState.SUCCEEDED
    seen = await handle.describe()
    assert await seen.static_summary() == "Refund of 5.00 USD"
    assert seen.typed_search_attributes[CUSTOMER_ID] == "c-1"
    assert order_of(handle.id) == refund.order_id
    said = payloads((await clear_history(shop.client, handle.id)).events)
    assert len(said) > 3
    assert "dented box" not in str(said) and "alice" not in str(said)


async def test_answers_when_stripe_has_said_something(
    api: httpx.AsyncClient, shop: Shop, refunds: RefundSteps, worker: None
) -> None:
    """202 with the address while it is on its way, 201 at the same address once the bank has it."""
    order_id = await refunds.captured()
    await refunds.stripe_answers("pending")
    answer = await ask(api, order_id)
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert answer.headers["Location"].endswith(f"/api/orders/{order_id}/refunds/k1")
    assert (await ask(api, order_id)).status_code == 202

    refund = GiveRefund(order_id=order_id, key="k1")
    await refunds.bank_says(refund, "succeeded")
    await refunds.follow(refund)
    again = await ask(api, order_id)
    assert (again.status_code, again.json()["status"]) == (201, "succeeded")


@pytest.mark.parametrize("end", [RefundState.SUCCEEDED, RefundState.FAILED])
async def test_follows_a_pending_refund_to_its_end(
    shop: Shop, refunds: RefundSteps, refund: GiveRefund, faults: StepFaults, end: RefundState
) -> None:
    """The workflow stays open as long as the bank takes, and ends with what the bank says."""
    faults.hold("follow_refund")
    await refunds.stripe_answers("pending")
    handle = await start(shop, refund)
    await faults.arrived("follow_refund")
    assert await handle.execute_update(OrderRefund.outcome) is RefundState.PENDING
    await refunds.bank_says(refund, end.value)
    faults.release("follow_refund")

    assert await ended(handle) is end
    assert await refunds.state(refund) is end
    assert await refunds.tickets(refund.order_id) == (["refund_failed"] if end is RefundState.FAILED else [])


async def test_tells_a_refund_that_failed(
    api: httpx.AsyncClient, shop: Shop, refunds: RefundSteps, worker: None
) -> None:
    """409 as a problem that carries the refund; the same request again gets the same answer."""
    order_id = await refunds.captured()
    await refunds.stripe_answers("failed")
    first, second = await ask(api, order_id), await ask(api, order_id)

    assert first.headers["Content-Type"] == "application/problem+json"
    assert (first.status_code, first.json()["type"]) == (409, "/problems/refund-failed")
    assert first.json()["refund"]["status"] == "failed" and first.json()["refund"]["detail"]
    assert second.json() == first.json()


async def test_an_attempt_whose_answer_is_lost_is_repeated(
    shop: Shop, refunds: RefundSteps, refund: GiveRefund, faults: StepFaults
) -> None:
    """The worker did it all and could not tell: the next attempt answers the same and writes nothing."""
    faults.fail("send_refund", TryAgain("connection lost", delay=SOON), times=2, after=True)
    handle = await start(shop, refund)

    assert await ended(handle) is RefundState.SUCCEEDED
    assert faults.calls == ["send_refund"] * 3
    assert await refunds.given(refund.order_id) == (await refunds.payment(refund.order_id)).refunded_minor == 500
    assert [row.what for row in await shop.timeline(refund.order_id)].count("refunded 5.00 USD: dented box") == 1


@pytest.mark.slow
@pytest.mark.parametrize("moment", [pytest.param("before", marks=pytest.mark.long), "after"])
async def test_goes_on_although_its_worker_was_killed(
    stack: Stack, shop: Shop, refunds: RefundSteps, refund: GiveRefund, activities: Activities, moment: str
) -> None:
    """Killed (-9) before or after Stripe gave the money: the next worker ends with one refund."""
    handle = await start(shop, refund)
    queue = shop.settings.task_queue
    async with dying_workers(stack, [f"{queue}:send_refund:{moment}"]) as death_on:
        assert await death_on(queue) == -signal.SIGKILL
    async with build_worker(shop.client, shop.settings, activities):
        assert await ended(handle) is RefundState.SUCCEEDED

    assert await refunds.given(refund.order_id) == (await refunds.payment(refund.order_id)).refunded_minor == 500
    assert [row.what for row in await shop.timeline(refund.order_id)].count("refunded 5.00 USD: dented box") == 1


async def test_calls_a_person_when_a_step_refuses_and_tries_again_at_his_word(
    shop: Shop, refunds: RefundSteps, refund: GiveRefund, faults: StepFaults
) -> None:
    """A mistake of ours is no end of the refund: it waits with a ticket, which closes when the step succeeds."""
    faults.fail("send_refund", OurMistake("parameters drifted"))
    handle = await start(shop, refund)
    await until(lambda: refunds.tickets(refund.order_id), ["step_refused"])
    assert (await refunds.state(refund), await refunds.given(refund.order_id)) == (RefundState.ASKED, 0)

    wanted = Resolution(ticket_id=await refunds.open_ticket(refund.order_id), decision=RepairDecision.RETRY, by="bob")
    assert (await handle.execute_update(OrderRefund.resolve, wanted)).accepted
    assert await ended(handle) is RefundState.SUCCEEDED
    assert await refunds.open_ticket(refund.order_id) == 0
    assert await refunds.given(refund.order_id) == 500


async def test_tries_again_at_once_when_an_operator_wants_it(
    shop: Shop, refunds: RefundSteps, refund: GiveRefund, faults: StepFaults
) -> None:
    """A retry that would come in an hour is not waited for."""
    faults.fail("send_refund", TryAgain("away", delay=timedelta(hours=1)))
    handle = await start(shop, refund)
    await until(lambda: _calls(faults), 1)
    ticket = await refunds.ticket_about(refund, "step_keeps_failing")
    wanted = Resolution(ticket_id=ticket, decision=RepairDecision.RETRY, by="bob")
    assert (await handle.execute_update(OrderRefund.resolve, wanted)).accepted

    assert await ended(handle) is RefundState.SUCCEEDED
    assert await refunds.given(refund.order_id) == 500


async def _calls(faults: StepFaults) -> int:
    return faults.calls.count("send_refund")


async def test_an_order_that_is_canceled_after_a_refund_gives_back_the_rest(
    api: httpx.AsyncClient, shop: Shop, refunds: RefundSteps, worker: None
) -> None:
    """The real workflows: 5.00 to please the customer, then the cancel; in the end the shop has kept nothing."""
    order = await shop.put(await shop.product())
    process = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    assert (await ask(api, order.order_id)).status_code == 201
    await process.signal(OrderFulfillment.cancel_order)
    assert await process.result() is OrderStatus.CANCELED

    books = await shop.books(order.order_id)
    assert (books.kept, books.payment_status) == (0, "Refunded")
    assert (await ask(api, order.order_id, "1.00", "late")).json()["code"] == "order_canceled"
    assert (await ask(api, order.order_id)).status_code == 201


async def test_an_unstarted_refund_is_started_by_the_same_request(
    api: httpx.AsyncClient, shop: Shop, refunds: RefundSteps, refund: GiveRefund, worker: None
) -> None:
    """A crash came between the row and the workflow: the client's repeat gives the money."""
    answer = await ask(api, refund.order_id)

    assert (answer.status_code, await refunds.given(refund.order_id)) == (201, 500)


async def test_an_unstarted_refund_is_started_by_the_sweep(
    shop: Shop, engine: AsyncEngine, refunds: RefundSteps, refund: GiveRefund, worker: None
) -> None:
    """Nobody asks again: the sweep of any relay finds it; a refund that was just asked for is left alone."""
    sweep = RefundSweep(engine.execution_options(isolation_level="AUTOCOMMIT"), shop.client, shop.settings)
    await sweep.sweep()
    with pytest.raises(RPCError):
        await handle_of(shop.client, refund).describe()
    await sweep.sweep(timedelta(0))

    assert await ended(handle_of(shop.client, refund)) is RefundState.SUCCEEDED
    assert await refunds.given(refund.order_id) == 500


async def test_a_terminated_refund_is_started_again(
    shop: Shop, refunds: RefundSteps, refund: GiveRefund, activities: Activities
) -> None:
    """The row says that it is owed; one that has ended well is never started again."""
    handle = await start(shop, refund)
    await handle.terminate("by mistake")
    async with build_worker(shop.client, shop.settings, activities):
        again = await start(shop, refund)
        assert await ended(again) is RefundState.SUCCEEDED
        run_id = (await again.describe()).run_id
        await start(shop, refund)
        assert (await handle_of(shop.client, refund).describe()).run_id == run_id


@pytest.mark.parametrize("settings", [0.5], indirect=True)
async def test_a_request_that_no_worker_answers_keeps_the_refund(
    shop: Shop, refunds: RefundSteps, settings: Settings, activities: Activities, api: httpx.AsyncClient
) -> None:
    """No worker answers: 202 after the budget, and the refund is done when a worker comes."""
    order_id = await refunds.captured()
    answer = await ask(api, order_id)

    assert (answer.status_code, answer.json()["status"]) == (202, "asked")
    async with build_worker(shop.client, settings, activities):
        refund = GiveRefund(order_id=order_id, key="k1")
        assert await ended(handle_of(shop.client, refund)) is RefundState.SUCCEEDED
    assert (await ask(api, order_id)).status_code == 201


def test_the_sweep_leaves_a_request_its_time() -> None:
    """A request that is waiting for its answer is not swept."""
    assert refund_starts.LEFT_ALONE.total_seconds() > Settings.model_fields["checkout_budget"].default
