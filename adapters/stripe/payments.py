"""Stripe's PaymentIntents, through its own SDK: one method per call, our errors instead of the SDK's.

A method's `params` and `key` come from the saved row of `payment_attempts`, never from the caller's own idea of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from adapters.stripe.connection import StripeConnection, text_of, translated
from domain.commands import Hold
from domain.payments import IntentStatus
from domain.recovery import PaymentAtStripe

PAGE = 100  # the most that Stripe gives at once
PAYMENTS = "/v1/payment_intents"


@dataclass(frozen=True)
class PaymentSnapshot:
    """A PaymentIntent as Stripe says it is now; amounts in minor units."""

    id: str
    status: str
    client_secret: str | None
    amount: int
    amount_capturable: int
    amount_received: int
    capture_before: datetime | None = None
    decline_code: str | None = None  # of the last failed attempt to pay
    round: int = 1
    customer: str | None = None  # Stripe's, where the card was kept
    payment_method: str | None = None
    review: str | None = None
    disputed: bool = False
    cancellation_reason: str | None = None
    amount_refunded: int = 0  # also of refunds that are pending; known only where `latest_charge` was expanded

    def of_order(self, order_id: str) -> PaymentAtStripe:
        """As the comparison of books reads it."""
        return PaymentAtStripe(
            id=self.id,
            order_id=order_id,
            status=self.status,
            received=self.amount_received,
            refunded=self.amount_refunded,
        )

    @property
    def renewable(self) -> bool:
        """Whether the card was kept, so that it can be charged without its owner."""
        return bool(self.customer and self.payment_method)

    @property
    def expired(self) -> bool:
        """Whether the authorization came to its end, unlike a PaymentIntent that somebody canceled."""
        return self.status == IntentStatus.CANCELED and self.cancellation_reason in ("expired", "automatic")


@dataclass(frozen=True)
class CreatedPage:
    """A page of PaymentIntents, newest first; `after` is the last one's id, None when there is no further page."""

    payments: list[tuple[str, PaymentSnapshot]]  # with the order that each names, "" for none
    after: str | None


class StripeGateway:
    """Every call about a payment, but those about its refunds (`RefundGateway`)."""

    def __init__(self, connection: StripeConnection) -> None:
        self._connection, self._client = connection, connection.client
        self._intents = connection.client.v1.payment_intents

    async def create(self, params: Any, key: str) -> PaymentSnapshot:
        """Creates an unconfirmed PaymentIntent: it moves no money."""
        return await self._payment("post", PAYMENTS, params, key)

    async def confirm(self, payment_intent_id: str, params: Any, key: str) -> PaymentSnapshot:
        """Authorizes. Raises PaymentDeclined when the card is declined."""
        return await self._payment("post", _path(payment_intent_id, "confirm"), params, key)

    async def capture(self, payment_intent_id: str, params: Any, key: str) -> PaymentSnapshot:
        return await self._payment("post", _path(payment_intent_id, "capture"), params, key)

    async def cancel(self, payment_intent_id: str, params: Any, key: str) -> PaymentSnapshot:
        return await self._payment("post", _path(payment_intent_id, "cancel"), params, key)

    async def retrieve(self, payment_intent_id: str) -> PaymentSnapshot:
        """What Stripe says now."""
        return await self._payment("get", _path(payment_intent_id), {"expand": ["latest_charge"]})

    async def _payment(self, method: str, path: str, params: Any, key: str | None = None) -> PaymentSnapshot:
        async with translated():
            return _snapshot(await self._connection.call(method, path, params, key))

    async def created(self, since: datetime, until: datetime, after: str | None = None) -> CreatedPage:
        """A page of the PaymentIntents that were created in a time, beginning after `after`; a list: search lags."""
        window = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
        params: Any = {"created": window, "limit": PAGE} | ({"starting_after": after} if after else {})
        async with translated():
            page = await self._intents.list_async(params)
            listed = [intent.to_dict() for intent in page.data]
        found = [(_metadata(intent, "order_id") or "", _snapshot(intent)) for intent in listed]
        return CreatedPage(found, page.data[-1].id if page.has_more else None)

    async def find_all(self, order_id: str) -> list[PaymentSnapshot]:
        """Every PaymentIntent of the order that is older than some minutes: a search, since it may be of any age."""
        async with translated():
            query = f"metadata['order_id']:'{order_id}'"
            page = await self._intents.search_async({"query": query, "limit": 100})
            found = [intent.id async for intent in page.auto_paging_iter()]
        return [await self.retrieve(intent_id) for intent_id in found]  # a search shows neither disputes nor today

    async def hold_on(self, intent: PaymentSnapshot) -> Hold | None:
        """Why the order's goods should stay here: a dispute that is open or lost, a fraud review that is open."""
        async with translated():
            if intent.disputed:
                page = await self._client.v1.disputes.list_async({"payment_intent": intent.id, "limit": 100})
                if [one async for one in page.auto_paging_iter() if one.status not in ("won", "warning_closed")]:
                    return Hold.DISPUTE
            if intent.review and (await self._client.v1.reviews.retrieve_async(intent.review)).open:
                return Hold.REVIEW
        return None

    async def create_customer(self, params: Any, key: str) -> str:
        """A Stripe Customer, on which a card is kept for renewals; its id."""
        async with translated():
            return text_of((await self._client.v1.customers.create_async(params, {"idempotency_key": key})).id)


def _path(payment_intent_id: str, *action: str) -> str:
    return "/".join((PAYMENTS, quote_plus(payment_intent_id), *action))


def _snapshot(intent: Mapping[str, Any]) -> PaymentSnapshot:
    failed, charge = intent["last_payment_error"], _expanded(intent["latest_charge"])
    return PaymentSnapshot(
        id=text_of(intent["id"]),
        status=text_of(intent["status"]),
        client_secret=intent["client_secret"],
        amount=int(intent["amount"]),
        amount_capturable=int(intent["amount_capturable"] or 0),
        amount_received=int(intent["amount_received"] or 0),
        capture_before=_capture_before(charge),
        round=int(_metadata(intent, "round") or 1),
        customer=_id(intent["customer"]),
        payment_method=_id(intent["payment_method"]),
        review=_id(intent["review"]),
        cancellation_reason=intent["cancellation_reason"],
        disputed=bool(charge.get("disputed", False)),
        amount_refunded=charge.get("amount_refunded", 0),
        decline_code=(failed.get("decline_code") or failed.get("code") or "card_declined") if failed else None,
    )


def _metadata(intent: Mapping[str, Any], name: str) -> str | None:
    metadata = intent["metadata"]
    return str(metadata[name]) if metadata is not None and name in metadata else None


def _expanded(reference: Any) -> Mapping[str, Any]:
    """An object that may be only named: then nothing is known of it."""
    return {} if reference is None or isinstance(reference, str) else reference


def _id(reference: Any) -> str | None:
    """Of an object that may be expanded or only named."""
    return reference if reference is None or isinstance(reference, str) else reference.get("id")


def _capture_before(charge: Mapping[str, Any]) -> datetime | None:
    """Until when the authorization holds; known only where `latest_charge` was expanded."""
    at = ((charge.get("payment_method_details") or {}).get("card") or {}).get("capture_before")
    return datetime.fromtimestamp(at, UTC) if at else None
