"""One order's payment over its rounds: the card of the checkout, another card, renewed authorizations.

A bank holds the money for some days only, and says for how long (`capture_before`): an order that waits longer renews
the hold on the card that its customer let us keep. A fraud review keeps the goods here until it is closed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.payments.payments import Payments
    from domain.commands import (
        Authorization,
        AuthorizationState,
        CancelAnswer,
        CheckoutAnswer,
        FulfillOrder,
        NewPaymentMethod,
        PaymentTry,
    )
    from domain.order_states import OrderStatus
    from workflows.order import time_limits
    from workflows.order.progress import Progress
    from workflows.saga.cancel_desk import CancelDesk
    from workflows.saga.saga import Saga
    from workflows.saga.steps import StepFailed


HOLD_STEP = "hold_payment"
"""Under which the repair desk knows the tickets of holds."""


class PaymentDesk:
    """The payment of one order. `news`: Stripe has said something since the last look."""

    def __init__(
        self, order: FulfillOrder, saga: Saga, progress: Progress, cancels: CancelDesk[CancelAnswer]
    ) -> None:
        self._order, self._saga, self._progress, self._cancels = order, saga, progress, cancels
        self.news = False
        self._round = PaymentTry(order_id=order.order_id)
        self._held = Authorization(state=AuthorizationState.AUTHORIZED)
        self._offer: NewPaymentMethod | None = None
        self._asks: AuthorizationState | None = None  # what the customer is waited for
        self._code = ""
        self._cannot_renew = False
        self._renewed_at = workflow.now()
        self._looks: list[tuple[datetime, str]] = []
        self._renew_at: datetime | None = None

    # before the confirmation

    async def authorize(self) -> None:
        """Holds the total on the customer's card. Raises StepFailed when the payment is refused or abandoned."""
        self._round = self._first_round()
        answer = await self._try()
        while answer.state is not AuthorizationState.AUTHORIZED:
            if answer.state is AuthorizationState.REQUIRES_ACTION:
                answer = await self._customer_acts()
            else:
                answer = await self._another_card(answer)
        self._held, self._renewed_at = answer, workflow.now()
        if self.on_hold:
            await self._tell_hold()

    def _first_round(self) -> PaymentTry:
        window, ahead = self._order.payment_retry_window, self._order.ship_at(workflow.now()) - workflow.now()
        return PaymentTry(
            order_id=self._order.order_id,
            keep_card=ahead > time_limits.KEEP_CARD_BEYOND,
            retry_until=workflow.now() + window if window else None,
        )

    async def _try(self) -> Authorization:
        return await self._saga.local_first(Payments.authorize_payment, self._round, undo=Payments.return_payment)

    async def _customer_acts(self) -> Authorization:
        """3-D Secure: the customer answers the bank; a webhook tells us, or a look each minute."""
        self._ask(AuthorizationState.REQUIRES_ACTION, "3-D Secure")
        deadline = workflow.now() + (self._order.customer_patience or time_limits.CUSTOMER_PATIENCE)
        while True:
            left = deadline - workflow.now()
            await self._cancels.wait(lambda: self.news, min(time_limits.PAYMENT_POLL, left), "look at the payment")
            self.news = False
            answer = await self._saga.step(Payments.check_payment, self._round)
            if answer.state is not AuthorizationState.REQUIRES_ACTION:
                return answer
            if workflow.now() >= deadline:
                detail = "the customer did not complete the payment in time"
                raise StepFailed("authorize_payment", "abandoned", detail)

    async def _another_card(self, declined: Authorization) -> Authorization:
        """The same PaymentIntent with another card, as long as the shop allows."""
        self._offer, until = None, self._round.retry_until
        self._ask(AuthorizationState.DECLINED, f"declined ({declined.code}): another card?", declined.code)
        while self._offer is None:
            left = until - workflow.now() if until else timedelta(0)
            if left <= timedelta(0):
                self._asks = None
                raise StepFailed("authorize_payment", declined.code, declined.detail)
            await self._cancels.wait(lambda: self._offer is not None or self.news, left, "another payment method")
            if self.news:  # the shop's page may have tried another card by itself
                self.news = False
                answer = await self._saga.step(Payments.check_payment, self._round)
                if answer.state is not AuthorizationState.DECLINED:
                    return answer
        another = self._offer.model_dump() | {"round": self._round.round + 1}
        self._round = self._round.model_copy(update=another)
        return await self._try()

    def _ask(self, what: AuthorizationState, why: str, code: str = "") -> None:
        self._asks, self._code = what, code
        self._progress.reached(OrderStatus.AWAITING_CUSTOMER, why)

    @property
    def waits_for_card(self) -> bool:
        """Whether a card was declined and the customer may offer another one."""
        return self._asks is AuthorizationState.DECLINED

    async def offered(self, offer: NewPaymentMethod) -> CheckoutAnswer:
        """Takes another card; answers as a checkout does, once the card's round has its answer."""
        self._offer, self._asks = offer, None
        await workflow.wait_condition(
            lambda: self._asks is not None or self._progress.status is not OrderStatus.AWAITING_CUSTOMER
        )
        return CheckoutAnswer(status=self._progress.status, code=self._code)

    # while the order waits for its shipment

    @property
    def on_hold(self) -> bool:
        """Whether a review or a dispute keeps the goods here."""
        return self._held.hold is not None

    def next_looks(self, ship_at: datetime) -> list[tuple[datetime, str]]:
        """When the authorization of an order that ships at `ship_at` has to be looked at again, and why."""
        ends, soon = self._held.capture_before, workflow.now() + time_limits.HOLD_POLL
        self._looks, self._renew_at = [], None
        if self.on_hold:  # under review nothing is renewed: that would end the review at Stripe
            self._looks.append((soon, "is the payment still on hold?"))
        elif ends is not None and self._cannot_renew:
            self._looks.append((max(ends, soon), "is the money still held?"))
        elif ends is not None and ends < ship_at + time_limits.TIME_TO_CAPTURE:
            self._renew_at = max(ends - time_limits.RENEWAL_MARGIN, self._renewed_at + time_limits.RENEWAL_PAUSE)
            self._looks.append((self._renew_at, "renew the authorization"))
        return self._looks

    async def look(self) -> None:
        """Looks at the authorization if it is time to or there is news, and renews it before it ends.

        Raises StepFailed when the money is gone and cannot be held anew.
        """
        now, looks, news = workflow.now(), self._looks, self.news
        renew = self._renew_at is not None and now >= self._renew_at
        self._looks, self._renew_at, self.news = [], None, False
        # An order that was on its way before this was looked at goes on as it began.
        if any(now >= at for at, _ in looks) or (news and workflow.patched("look-at-held-payment")):
            ref = PaymentTry(order_id=self._order.order_id, round=self._held.round + 1, renew=renew)
            self._held = await self._saga.step(Payments.keep_authorization, ref)
            if self._held.round == ref.round:
                self._renewed_at = now
                self._progress.tell("authorization renewed")
            elif renew and not self.on_hold:
                self._cannot_renew = True
            await self._tell_hold()

    async def _tell_hold(self) -> None:
        """A ticket while the payment is on hold; the table of steps tells it, too."""
        if self._held.hold is None:
            await self._saga.watch.dismiss(HOLD_STEP)
        else:
            self._progress.tell(f"on hold: {self._held.hold}")
            await self._saga.watch.call_person(HOLD_STEP, f"payment_{self._held.hold}", "nothing ships meanwhile")
