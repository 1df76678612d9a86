"""Calls to Stripe whose outcome is known in the end: the unknown-outcome protocol.

What is sent is saved in `payment_attempts` before the first send. While a call's key lasts, an unknown outcome is
settled by sending the same call again; when that keeps failing, or the key may be gone, by looking. There is never a
new key before a look. A call that Stripe refuses for what was sent (a fresh 4xx, not one from its memory) is marked
as refused once a look has shown that it has not taken effect: the next attempt is made from today's parameters.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import activity

from adapters.stripe.errors import PaymentStateDiffers
from adapters.stripe.payments import PaymentSnapshot, StripeGateway
from domain.errors import CallRefused, CaptureRefused, TryAgain
from domain.payments import IntentStatus
from services.orders.book import LockedOrder, OrderBook
from services.payments.saved_calls import (
    SavedCall,
    list_read,
    mark_refused,
    next_attempt,
    save_call,
    save_list_read,
)

LOOK_AFTER_ATTEMPTS = 3
LOOK_BUDGET = 15.0  # seconds that one attempt reads a list: less than an attempt may take
PAUSE_IN_A_LIST = timedelta(milliseconds=100)
CLOCKS_DIFFER = timedelta(minutes=1)  # ours and Stripe's

Send = Callable[[SavedCall], Awaitable[PaymentSnapshot]]
Look = Callable[[], Awaitable[PaymentSnapshot | None]]
Given = TypeVar("Given")


class StripeCalls:
    """The protocol around each call that changes a payment: send, look, send again, but never twice with effect."""

    def __init__(self, book: OrderBook, stripe: StripeGateway) -> None:
        self._book = book
        self._stripe = stripe

    async def create(self, call: SavedCall) -> PaymentSnapshot:
        """Creates the call's PaymentIntent. Raises PaymentDeclined where Stripe refuses the payment method."""

        async def look() -> PaymentSnapshot | None:
            return await self.find(call)

        return await self._settle(call, lambda sent: self._stripe.create(sent.params, sent.key), look)

    async def find(self, call: SavedCall) -> PaymentSnapshot | None:
        """What a creation that was sent has made, in Stripe's list of all that the account has made since.

        The list ends at the moment of the first look, and each attempt goes on where the one before it stopped: so
        it comes to its end on a busy account, too. What it could miss (a creation that takes effect after that
        moment) is never confirmed, and moves no money. Raises TryAgain where an attempt has read enough.
        """
        async with self._book.locked(call.order_id) as order:
            read = list_read(order, call)
        enough = time.monotonic() + LOOK_BUDGET
        while True:
            page = await self._stripe.created(call.first_sent_at - CLOCKS_DIFFER, read.until, read.after)
            for order_id, intent in page.payments:
                if (order_id, intent.round) == (call.order_id, call.round):
                    return intent
            if page.after is None:
                return None
            read = replace(read, after=page.after)
            async with self._book.locked(call.order_id) as order:
                save_list_read(order, call, read)
            if time.monotonic() > enough:
                raise TryAgain("Stripe's list is long: the next attempt reads on", delay=PAUSE_IN_A_LIST)

    async def confirm(self, intent_id: str, call: SavedCall) -> PaymentSnapshot:
        """Confirms the PaymentIntent, which authorizes it. Raises PaymentDeclined."""

        async def look() -> PaymentSnapshot | None:
            intent = await self._stripe.retrieve(intent_id)
            # After a decline the intent says the same before and after the next card's decline: that one is sent
            # once more, which cannot charge twice, since one intent charges once.
            unpaid = (IntentStatus.REQUIRES_CONFIRMATION, IntentStatus.REQUIRES_PAYMENT_METHOD)
            before = unpaid if call.round > 1 else unpaid[:1]
            return None if intent.status in before else intent

        return await self._settle(call, lambda sent: self._stripe.confirm(intent_id, sent.params, sent.key), look)

    async def capture(self, intent_id: str, call: SavedCall) -> PaymentSnapshot:
        """Captures what is authorized. Raises CaptureRefused when the authorization is gone."""

        async def look() -> PaymentSnapshot | None:
            intent = await self._stripe.retrieve(intent_id)
            return None if intent.status == IntentStatus.REQUIRES_CAPTURE else intent

        intent = await self._settle(call, lambda sent: self._stripe.capture(intent_id, sent.params, sent.key), look)
        if intent.status == IntentStatus.SUCCEEDED:
            return intent
        if intent.status == IntentStatus.CANCELED:
            raise CaptureRefused("authorization_gone", "the authorization was canceled or has expired")
        raise TryAgain(f"the payment is {intent.status}, not captured")

    async def cancel(self, intent_id: str, call: SavedCall) -> None:
        """Releases what is held. The caller has looked just before: it was not canceled then."""

        async def look() -> PaymentSnapshot | None:
            intent = await self._stripe.retrieve(intent_id)
            return intent if intent.status == IntentStatus.CANCELED else None

        send = self._stripe.cancel(intent_id, call.params, call.key)
        voided = await self.unless_refused(call, send, look)
        if voided.status != IntentStatus.CANCELED:
            raise TryAgain(f"the payment is {voided.status}, not voided")

    async def _settle(self, call: SavedCall, send: Send, look: Look) -> PaymentSnapshot:
        """`look` answers None when the call has certainly not taken effect."""
        if call.key_may_be_pruned or _is_late(call):
            if (seen := await look()) is not None:
                return seen
            async with self._book.locked(call.order_id) as order:
                call = next_attempt(order, call)
        try:
            return await self.unless_refused(call, send(call), look)
        except PaymentStateDiffers:
            if (seen := await look()) is None:
                raise
            return seen

    async def unless_refused(
        self, call: SavedCall, sent: Awaitable[Given], look: Callable[[], Awaitable[Given | None]]
    ) -> Given:
        """What was given; what a look shows where the call is refused. Raises CallRefused where it shows nothing."""
        try:
            return await sent
        except CallRefused:
            if (seen := await look()) is not None:
                return seen
            async with self._book.locked(call.order_id) as order:
                mark_refused(order, call)
            raise


async def save_call_after_look(order: LockedOrder, operation: str, params: dict[str, Any], round: int) -> SavedCall:
    """For a caller that has just looked, and seen no effect: a call whose key keeps failing gets a new key."""
    call = save_call(order, operation, params, round)
    return next_attempt(order, call) if _is_late(call) else call


def _is_late(call: SavedCall) -> bool:
    """Whether its outcome has been unknown for several attempts; that of a refused call is known."""
    return activity.info().attempt > LOOK_AFTER_ATTEMPTS and not call.refused
