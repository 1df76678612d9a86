"""The main paths of a refund, each walked by a real one: what the recorded histories tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio.client import WorkflowHandle, WorkflowUpdateStage

from adapters.temporal.client import refund_workflow_id
from domain.errors import OurMistake, TryAgain
from domain.money import Money
from domain.refunds import GiveRefund, RefundState
from domain.repairs import RepairDecision, Resolution
from engine.refunds import start_refund
from tests.recordings.paths import delivered
from tests.support.fakes import StepFaults
from tests.support.orders import Shop
from tests.support.refunds import RefundBooks
from tests.support.waiting import until
from workflows.order_refund import OrderRefund

Handle = WorkflowHandle[OrderRefund, RefundState]
Walk = Callable[[Shop, StepFaults], Awaitable[Handle]]


async def refund_given(shop: Shop, faults: StepFaults) -> Handle:
    """As the API starts it, with the early answer."""
    handle, _ = await _started(shop, faults)
    await handle.execute_update(OrderRefund.outcome)
    return handle


async def refund_pending_and_arrived(shop: Shop, faults: StepFaults) -> Handle:
    return await _pending(shop, faults, "succeeded")


async def refund_pending_and_failed(shop: Shop, faults: StepFaults) -> Handle:
    return await _pending(shop, faults, "failed")


async def refund_tried_again_by_a_person(shop: Shop, faults: StepFaults) -> Handle:
    books = RefundBooks(shop)
    faults.fail("send_refund", OurMistake("parameters drifted"))
    handle, refund = await _started(shop, faults)
    await until(lambda: books.tickets(refund.order_id), ["step_refused"])
    wanted = Resolution(ticket_id=await books.open_ticket(refund.order_id), decision=RepairDecision.RETRY, by="bob")
    await handle.execute_update(OrderRefund.resolve, wanted)
    return handle


async def refund_decided_by_signal(shop: Shop, faults: StepFaults) -> Handle:
    books = RefundBooks(shop)
    faults.fail("send_refund", OurMistake("parameters drifted"))
    handle, refund = await _started(shop, faults)
    await until(lambda: books.tickets(refund.order_id), ["step_refused"])
    wanted = Resolution(ticket_id=await books.open_ticket(refund.order_id), decision=RepairDecision.RETRY, by="bob")
    await handle.signal(OrderRefund.resolve_later, wanted)
    return handle


async def refund_retry_ended_by_a_person(shop: Shop, faults: StepFaults) -> Handle:
    faults.fail("send_refund", TryAgain("away", delay=timedelta(hours=1)))
    handle, refund = await _started(shop, faults)
    await until(lambda: _tried(faults), True)
    ticket = await RefundBooks(shop).ticket_about(refund, "step_keeps_failing")  # as after two minutes
    wanted = Resolution(ticket_id=ticket, decision=RepairDecision.RETRY, by="bob")
    await handle.execute_update(OrderRefund.resolve, wanted)
    return handle


async def refund_attempt_fails_while_a_person_decides(shop: Shop, faults: StepFaults) -> Handle:
    """The decision finds an attempt under way, whose answer is lost: nobody is called about that."""
    faults.hold("send_refund")
    faults.fail("send_refund", TryAgain("connection lost", delay=timedelta(hours=1)), after=True)
    handle, refund = await _started(shop, faults)
    await faults.arrived("send_refund")
    ticket = await RefundBooks(shop).ticket_about(refund, "step_keeps_failing")  # as after two minutes
    wanted = Resolution(ticket_id=ticket, decision=RepairDecision.RETRY, by="bob")
    decided = await handle.start_update(OrderRefund.resolve, wanted, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
    await until(lambda: _asked_to_stop(handle), True)
    faults.release("send_refund")
    await decided.result()
    return handle


async def refund_canceled_natively(shop: Shop, faults: StepFaults) -> Handle:
    """Its row starts it again."""
    faults.hold("send_refund")
    handle, _ = await _started(shop, faults)
    await faults.arrived("send_refund")
    await handle.cancel()
    faults.release("send_refund")
    return handle


async def _asked_to_stop(handle: Handle) -> bool:
    """Whether the running step was told to end its retries."""
    kinds = [event.WhichOneof("attributes") for event in (await handle.fetch_history()).events]
    return "activity_task_cancel_requested_event_attributes" in kinds


async def _tried(faults: StepFaults) -> bool:
    return "send_refund" in faults.ended


async def _pending(shop: Shop, faults: StepFaults, end: str) -> Handle:
    books = RefundBooks(shop)
    faults.hold("follow_refund")
    await books.stripe_answers("pending")
    handle, refund = await _started(shop, faults)
    await faults.arrived("follow_refund")
    await books.stripe_answers("succeeded")
    await books.bank_says(refund, end)
    faults.release("follow_refund")
    return handle


async def _started(shop: Shop, faults: StepFaults) -> tuple[Handle, GiveRefund]:
    """A refund of an order whose own workflow has ended."""
    order = await delivered(shop, faults)
    await asyncio.wait_for(order.result(), 60)
    refund = await RefundBooks(shop).put(order.id.removeprefix("order-"))
    await start_refund(shop.client, shop.settings, refund, Money(minor=500, currency="USD"), "c-recorded")
    workflow_id = refund_workflow_id(refund.order_id, refund.key)
    return shop.client.get_workflow_handle(workflow_id, result_type=RefundState), refund


PATHS: dict[str, Walk] = {
    path.__name__: path
    for path in (
        refund_given,
        refund_pending_and_arrived,
        refund_pending_and_failed,
        refund_tried_again_by_a_person,
        refund_decided_by_signal,
        refund_retry_ended_by_a_person,
        refund_attempt_fails_while_a_person_decides,
        refund_canceled_natively,
    )
}
