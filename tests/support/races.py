"""Races against a cancel, as data: the step that it meets, what is decided, and what the books say in the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateHandle, WorkflowUpdateStage
from temporalio.exceptions import CancelledError

from domain.commands import CancelAnswer, CancelRequest, FulfillOrder, NewPaymentMethod, ParcelStatus
from domain.errors import TryAgain
from domain.order_states import OrderStatus
from tests.support.any_shop import AnyShop
from tests.support.fakes import StepFaults
from tests.support.orders import Books, Handle, undos_run
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

ARRIVALS = ("before_the_effect", "before_the_answer")
"""When the cancel arrives: the step has not done anything yet, or has done it and its workflow does not know."""

FORMS = ("signal", "update", "native")

NO_ADDRESS = {"street1": "1 UNDELIVERABLE Road", "city": "Nowhere", "zip": "00000", "country": "US"}
DECLINED = "pm_card_chargeDeclined"
RETRY_WINDOW = timedelta(hours=1)
KEPT_CARD = timedelta(days=4)  # an order that waits so long asks to keep the card: it can be charged again


class Scene:
    """What a race is run on: a shop, and a worker whose step `step` is held where the cancel is to meet it."""

    def __init__(self, shop: AnyShop, faults: StepFaults, step: str, arrival: str) -> None:
        self.shop, self.faults, self.step = shop, faults, step
        self._hold = faults.hold if arrival == ARRIVALS[0] else faults.hold_answer

    def hold(self, *, local: bool = False) -> None:
        """A `local` step fails in the worker: the ordinary attempt that follows is one that a cancel can reach."""
        if local:
            self.faults.fail(self.step, TryAgain("so that the step runs as an ordinary activity"))
        self._hold(self.step)

    async def held(self) -> None:
        await self.faults.arrived(self.step)

    async def order(self, method: str = "pm_card_visa", *, on_hand: int = 10, **more: Any) -> FulfillOrder:
        return await self.shop.put(await self.shop.product(on_hand=on_hand), payment_method=method, **more)

    async def reach(self, order: FulfillOrder, status: OrderStatus, ship_in: timedelta | None = None) -> Handle:
        handle = await self.shop.start(order, ship_in=ship_in)
        await until(lambda: self.shop.status(order.order_id), status)
        return handle


Begin = Callable[[Scene], Awaitable[tuple[str, Handle]]]


@dataclass(frozen=True)
class Verdict:
    """The answer's code, and how the canceler's rows in the timeline read (none for one that joined an undo)."""

    code: str
    told: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.code in ("cancel_accepted", "label_voided", "already_canceling")


@dataclass(frozen=True)
class End:
    """How the order and its payment end, and the undos that ran, in order."""

    status: str
    paid: str
    undos: tuple[str, ...] = ()

    def books(self, on_hand: int) -> Books:
        if self.status == "DELIVERED":
            left = on_hand - 2
            return Books(status="DELIVERED", payment_status=self.paid, on_hand=left, kept=2000, labels=1)
        return Books(status=self.status, payment_status=self.paid, on_hand=on_hand)


@dataclass(frozen=True)
class Race:
    """A cancel against `step`. `at_once`: the answer does not wait for the step."""

    name: str
    step: str
    begin: Begin
    verdict: Verdict
    end: End
    at_once: bool = False
    on_hand: int = 10


async def cancel(handle: Handle, form: str) -> WorkflowUpdateHandle[CancelAnswer] | None:
    """Asks for a cancel, which has arrived when this comes back."""
    reason = "changed my mind"
    if form == "signal":
        await handle.signal(OrderFulfillment.cancel_order, {"reason": reason, "by": "racer"})
    elif form == "native":
        await handle.cancel(reason=reason)
    else:
        wish, accepted = CancelRequest(reason=reason, by="racer"), WorkflowUpdateStage.ACCEPTED
        return await handle.start_update(OrderFulfillment.cancel, wish, wait_for_stage=accepted)
    return None


async def told(shop: AnyShop, order_id: str, form: str) -> list[str]:
    """What the timeline tells of the cancel, up to its reason."""
    by = "temporal" if form == "native" else "racer"
    names = (by, f"unverified:{by}")  # nobody has signed it, which the books on the servers tell
    rows = [row for row in await shop.timeline(order_id) if row.what.startswith("cancel ") and row.by in names]
    return [row.what.removesuffix(": changed my mind") for row in rows]


async def assert_decided(shop: AnyShop, faults: StepFaults, race: Race, arrival: str, form: str) -> None:
    """Runs the race and compares the answer, the timeline, the undos and all books with what the table says."""
    scene = Scene(shop, faults, race.step, arrival)
    order_id, handle = await race.begin(scene)
    asked = await cancel(handle, form)
    if asked and race.at_once:
        assert (await asked.result()).code == race.verdict.code
    faults.release(race.step)
    if asked:
        answer = await asked.result()
        assert (answer.accepted, answer.code) == (race.verdict.accepted, race.verdict.code)
    assert await _ended(race, form, handle, shop, order_id) == race.end.status
    assert tuple(await told(shop, order_id, form)) == race.verdict.told
    assert tuple(await undos_run(handle)) == race.end.undos
    assert await shop.books(order_id) == race.end.books(race.on_hand)


async def _ended(race: Race, form: str, handle: Handle, shop: AnyShop, order_id: str) -> str:
    """How the workflow says that the order ended: natively canceled, it closes as such once all is undone."""
    if race.end.status == OrderStatus.DELIVERED:
        await until(lambda: told(shop, order_id, form), list(race.verdict.told))
        if race.step != "record_delivered":
            await handle.signal(OrderFulfillment.parcel_changed, ParcelStatus.DELIVERED)
    if form != "native" or race.end.status != OrderStatus.CANCELED:
        return str(await handle.result())
    with pytest.raises(WorkflowFailureError) as canceled:
        await handle.result()
    assert isinstance(canceled.value.cause, CancelledError)
    return OrderStatus.CANCELED


# how an order comes to where the step is held --------------------------------------------------------------------


def checkout(method: str = "pm_card_visa", *, on_hand: int = 10, window: timedelta = timedelta(0)) -> Begin:
    """Its customer waits for the answer."""

    async def begin(scene: Scene) -> tuple[str, Handle]:
        order = await scene.order(method, on_hand=on_hand)
        scene.hold(local=True)
        handle = await scene.shop.start(order.model_copy(update={"payment_retry_window": window}))
        await scene.held()
        return order.order_id, handle

    return begin


def another_card(method: str) -> Begin:
    """A declined customer offers a second one."""

    async def begin(scene: Scene) -> tuple[str, Handle]:
        order = (await scene.order(DECLINED)).model_copy(update={"payment_retry_window": RETRY_WINDOW})
        handle = await scene.reach(order, OrderStatus.AWAITING_CUSTOMER)
        scene.hold(local=True)
        offer, accepted = NewPaymentMethod(payment_method=method), WorkflowUpdateStage.ACCEPTED
        await handle.start_update(OrderFulfillment.pay, offer, wait_for_stage=accepted)
        await scene.held()
        return order.order_id, handle

    return begin


async def bank_answers(scene: Scene) -> tuple[str, Handle]:
    """3-D Secure: the customer is done with it."""
    order = await scene.order("pm_card_authenticationRequired")
    handle = await scene.reach(order, OrderStatus.AWAITING_CUSTOMER)
    await scene.shop.customer_authenticates(order.order_id)
    return await _payment_changed(scene, order, handle)


async def renewal(scene: Scene) -> tuple[str, Handle]:
    """The bank let the money go while the order waits; its card was kept."""
    order = await scene.order()
    handle = await scene.reach(order, OrderStatus.CONFIRMED, ship_in=KEPT_CARD)
    await scene.shop.bank_lets_go(order.order_id)
    return await _payment_changed(scene, order, handle)


async def review_is_closed(scene: Scene) -> tuple[str, Handle]:
    """Stripe's fraud review kept the goods here, and is approved."""
    order = await scene.order("pm_card_riskLevelElevated")
    handle = await scene.reach(order, OrderStatus.CONFIRMED)
    await scene.shop.review_is_approved(order.order_id)
    return await _payment_changed(scene, order, handle)


async def review_goes_on(scene: Scene) -> tuple[str, Handle]:
    """It is looked at while Stripe still reviews the payment."""
    order = await scene.order("pm_card_riskLevelElevated")
    return await _payment_changed(scene, order, await scene.reach(order, OrderStatus.CONFIRMED))


async def _payment_changed(scene: Scene, order: FulfillOrder, handle: Handle) -> tuple[str, Handle]:
    scene.hold()
    await handle.signal(OrderFulfillment.payment_changed)
    await scene.held()
    return order.order_id, handle


def started(method: str = "pm_card_visa", *, address: dict[str, Any] | None = None, local: bool = False) -> Begin:
    """Nothing happens on the way to the step, which is tried in the worker first if it is `local`."""

    async def begin(scene: Scene) -> tuple[str, Handle]:
        order = await scene.order(method, address=address)
        scene.hold(local=local)
        handle = await scene.shop.start(order)
        await scene.held()
        return order.order_id, handle

    return begin


async def capture_refused(scene: Scene) -> tuple[str, Handle]:
    """The label is bought, and the money is gone."""
    order = await scene.order()
    scene.faults.before("capture_payment", lambda: scene.shop.bank_lets_go(order.order_id))
    scene.hold(local=True)
    handle = await scene.shop.start(order)
    await scene.held()
    return order.order_id, handle


def parcel(*way: ParcelStatus) -> Begin:
    """The carrier tells of its parcel; `step` writes the last of it down."""

    async def begin(scene: Scene) -> tuple[str, Handle]:
        order = await scene.order()
        handle = await scene.reach(order, OrderStatus.READY_TO_SHIP)
        for news in way:
            if news is way[-1]:
                scene.hold(local=True)
            await scene.shop.parcel(order.order_id, news.value)
            await handle.signal(OrderFulfillment.parcel_changed, news)
            if news is not way[-1]:
                await until(lambda: scene.shop.status(order.order_id), OrderStatus.SHIPPED)
        await scene.held()
        return order.order_id, handle

    return begin


def canceled(at: OrderStatus, ship_in: timedelta | None = None) -> Begin:
    """Somebody else has asked to cancel already."""

    async def begin(scene: Scene) -> tuple[str, Handle]:
        order = await scene.order()
        handle = await scene.reach(order, at, ship_in)
        scene.hold()
        await handle.signal(OrderFulfillment.cancel_order, "the first cancel")
        await scene.held()
        return order.order_id, handle

    return begin
