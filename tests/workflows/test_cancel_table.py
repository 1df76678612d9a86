"""The cancel table, row by row, by the API on the real servers; `decisions/test_cancel_forms.py` has the other forms.

Closed orders (DELIVERED, CANCELED, REJECTED) have no workflow to ask any more: the API answers them from the row,
by the same table.
"""

from __future__ import annotations

import asyncio

import httpx
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.service import RPCError, RPCStatusCode

from domain import cancellation
from domain.cancellation import Decision
from domain.commands import CancelRequest, ParcelStatus
from domain.order_states import OrderStatus
from tests.support.cancel_table import HELD, WAYS, assert_ends_as, by_native_cancellation, order_in
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment


@pytest.mark.parametrize("status", HELD)
async def test_the_api_answers_what_the_table_says(
    api: httpx.AsyncClient, shop: Shop, faults: StepFaults, status: OrderStatus
) -> None:
    """202 for what is granted or joined, 409 with the rule's code for what is refused."""
    order_id, handle = await order_in(status, shop, faults)
    asking = asyncio.create_task(api.post(f"/api/orders/{order_id}/cancel", json={"reason": "by HTTP", "by": "lee"}))
    rule = cancellation.TABLE[status]
    if status is OrderStatus.SHIPPED:
        assert not await was_taken_up(handle)  # its row leaves no choice
    elif rule.decision is not Decision.JOINED:
        await until(lambda: was_taken_up(handle), True)
        if (step := HELD[status]) is not None:
            faults.release(step)
    assert_answers(await asking, rule)
    faults.release("release_inventory")
    await assert_ends_as(rule.decision, order_id, handle, shop)


ENDS = {
    OrderStatus.DELIVERED: "pm_card_visa",
    OrderStatus.CANCELED: "pm_card_visa",
    OrderStatus.REJECTED: "pm_card_chargeDeclined",
}


@pytest.mark.parametrize("status", ENDS)
async def test_a_closed_order_is_answered_by_the_table_in_every_form(
    api: httpx.AsyncClient, shop: Shop, worker: None, status: OrderStatus
) -> None:
    """There is no workflow to hear signal, update or native cancellation; the API answers from the row."""
    order = await shop.put(await shop.product(), payment_method=ENDS[status])
    handle = await shop.start(order, by_signal="at once" if status is OrderStatus.CANCELED else None)
    if status is OrderStatus.DELIVERED:
        await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
        await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    assert await handle.result() is status
    books, timeline = await shop.books(order.order_id), await shop.timeline(order.order_id)
    for way in (*WAYS[:-1], by_update):
        with pytest.raises(RPCError) as nobody:
            await way(handle)
        assert nobody.value.status is RPCStatusCode.NOT_FOUND
    await by_native_cancellation(handle)  # the engine has nothing to say to it
    assert_answers(await api.post(f"/api/orders/{order.order_id}/cancel"), cancellation.TABLE[status])
    assert (await shop.books(order.order_id), await shop.timeline(order.order_id)) == (books, timeline)


def test_every_row_of_the_table_is_walked() -> None:
    """Open and closed orders together."""
    assert {*HELD, *ENDS} == set(cancellation.TABLE)


async def by_update(handle: Handle) -> None:
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest())


async def was_taken_up(handle: Handle) -> bool:
    taken = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    return any(event.event_type == taken for event in (await handle.fetch_history()).events)


def assert_answers(answer: httpx.Response, rule: cancellation.Rule) -> None:
    rule = cancellation.LABEL_VOIDED if rule.decision is Decision.CARRIER_DECIDES else rule
    told = answer.json()
    if rule.decision is Decision.REFUSED:
        assert (answer.status_code, told["code"]) == (409, rule.code)
    else:
        assert answer.status_code in (200, 202)
        assert (told["accepted"], told["decision"], told["code"]) == (True, rule.decision, rule.code)
