"""The rounds of an order's payment, each walked by a real order, for the recorded histories."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from domain.commands import CancelRequest, FulfillOrder, NewPaymentMethod, ParcelStatus
from domain.order_states import OrderStatus
from tests.support.fakes import StepFaults
from tests.support.orders import Handle, Shop, steps_run
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

Walk = Callable[[Shop, StepFaults], Awaitable[Handle]]


async def another_card_paid(shop: Shop, faults: StepFaults) -> Handle:
    order, handle = await _declined(shop)
    await _offer(handle, "pm_card_mastercard")
    return await delivered(shop, order, handle)


async def another_card_declined_and_a_third_paid(shop: Shop, faults: StepFaults) -> Handle:
    order, handle = await _declined(shop)
    await _offer(handle, "pm_card_chargeDeclinedInsufficientFunds")
    await _offer(handle, "pm_card_mastercard")
    return await delivered(shop, order, handle)


async def another_card_stolen(shop: Shop, faults: StepFaults) -> Handle:
    _, handle = await _declined(shop)
    await _offer(handle, "pm_card_visa_chargeDeclinedStolenCard")
    return handle


async def another_card_authenticated(shop: Shop, faults: StepFaults) -> Handle:
    order, handle = await _declined(shop)
    await _offer(handle, "pm_card_authenticationRequired")
    await answer_the_bank(shop, order, succeed=True)
    await handle.signal(OrderFulfillment.payment_changed)
    return await delivered(shop, order, handle)


async def another_card_not_authenticated(shop: Shop, faults: StepFaults) -> Handle:
    """The decline leaves the order waiting for the next card."""
    order, handle = await _declined(shop)
    await _offer(handle, "pm_card_authenticationRequired")
    await answer_the_bank(shop, order, succeed=False)
    await handle.signal(OrderFulfillment.payment_changed)
    await until(lambda: _checked(handle), True)
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="no card works"))
    return handle


async def canceled_while_another_card_was_awaited(shop: Shop, faults: StepFaults) -> Handle:
    _, handle = await _declined(shop)
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="changed my mind"))
    return handle


async def another_card_paid_on_the_shops_page(shop: Shop, faults: StepFaults) -> Handle:
    order, handle = await _declined(shop)
    intent = (await shop.payment_intent(order.order_id))["id"]
    await shop.at_stripe("POST", f"payment_intents/{intent}/confirm", payment_method="pm_card_mastercard")
    await handle.signal(OrderFulfillment.payment_changed)
    return await delivered(shop, order, handle)


async def a_review_opened_while_the_label_was_bought(shop: Shop, faults: StepFaults) -> Handle:
    faults.hold("ship_order")
    order = await shop.put(await shop.product())
    handle = await shop.start(order)
    await faults.arrived("ship_order")
    body = {"payment_intent": (await shop.payment_intent(order.order_id))["id"]}
    opened = await shop.http.post(f"{shop.stack.urls.stripe}/_control/reviews", json=body)
    await handle.signal(OrderFulfillment.payment_changed)
    faults.release("ship_order")
    await until(lambda: _looked(handle), True)
    await shop.at_stripe("POST", f"reviews/{opened.raise_for_status().json()['id']}/approve")
    await handle.signal(OrderFulfillment.payment_changed)
    return await delivered(shop, order, handle)


async def released_by_the_review(shop: Shop, faults: StepFaults) -> Handle:
    order, handle = await _under_review(shop)
    intent = await shop.payment_intent(order.order_id)
    await shop.at_stripe("POST", f"reviews/{intent['review']}/approve")
    await handle.signal(OrderFulfillment.payment_changed)
    return await delivered(shop, order, handle)


async def canceled_under_review(shop: Shop, faults: StepFaults) -> Handle:
    """`ship_now` does not overrule the review, and a look finds it open still."""
    _, handle = await _under_review(shop)
    await handle.signal(OrderFulfillment.ship_now)
    await handle.signal(OrderFulfillment.payment_changed)
    await until(lambda: _looked(handle), True)
    await handle.execute_update(OrderFulfillment.cancel, CancelRequest(reason="too slow"))
    return handle


async def looked_at_while_it_waited_and_shipped_at_once(shop: Shop, faults: StepFaults) -> Handle:
    order = await shop.put(await shop.product())
    handle = await shop.start(order, ship_in=timedelta(days=3))  # so long that the card is kept
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    await handle.signal(OrderFulfillment.payment_changed)
    await until(lambda: _looked(handle), True)
    await handle.signal(OrderFulfillment.ship_now)
    return await delivered(shop, order, handle)


async def _declined(shop: Shop) -> tuple[FulfillOrder, Handle]:
    """An order that waits for another card."""
    order = await shop.put(await shop.product(), payment_method="pm_card_chargeDeclined")
    order = order.model_copy(update={"payment_retry_window": timedelta(hours=1)})
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.AWAITING_CUSTOMER)
    return order, handle


async def _offer(handle: Handle, method: str) -> None:
    await handle.execute_update(OrderFulfillment.pay, NewPaymentMethod(payment_method=method))


async def _under_review(shop: Shop) -> tuple[FulfillOrder, Handle]:
    order = await shop.put(await shop.product(), payment_method="pm_card_riskLevelElevated")
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    return order, handle


async def _looked(handle: Handle) -> bool:
    return "keep_authorization" in await steps_run(handle)


async def _checked(handle: Handle) -> bool:
    return "check_payment" in await steps_run(handle)


async def answer_the_bank(shop: Shop, order: FulfillOrder, *, succeed: bool) -> None:
    """The customer at the bank's 3-D Secure page."""
    intent = (await shop.payment_intent(order.order_id))["id"]
    url = f"{shop.stack.urls.stripe}/_control/payment_intents/{intent}/authenticate"
    (await shop.http.post(url, json={"succeed": succeed})).raise_for_status()


async def delivered(shop: Shop, order: FulfillOrder, handle: Handle) -> Handle:
    """Scanned and delivered in one go, once it may be."""
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    return handle


PATHS: dict[str, Walk] = {
    path.__name__: path
    for path in (
        another_card_paid,
        another_card_declined_and_a_third_paid,
        another_card_stolen,
        another_card_authenticated,
        another_card_not_authenticated,
        canceled_while_another_card_was_awaited,
        another_card_paid_on_the_shops_page,
        a_review_opened_while_the_label_was_bought,
        released_by_the_review,
        canceled_under_review,
        looked_at_while_it_waited_and_shipped_at_once,
    )
}
