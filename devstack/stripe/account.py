"""The simulated Stripe account: its objects, its ledger, its events and its settings."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from devstack.simulators.durable_store import Document, DurableStore
from devstack.simulators.timer_queue import TimerQueue
from devstack.simulators.webhook_sender import WebhookSender
from devstack.stripe import objects as stripe_objects
from devstack.stripe.errors import missing
from devstack.stripe.ledger import MoneyLedger
from devstack.stripe.methods import PaymentMethods
from devstack.stripe.parameters import Params


@dataclass(frozen=True)
class Call:
    """One request: its checked parameters, the id in its path, and where it came from."""

    params: Params
    subject: str = ""
    request_id: str | None = None
    key: str | None = None


@dataclass
class AccountSettings:
    """Set by the control endpoints; in memory, so that a restart gives the defaults again."""

    search_lag_seconds: float = 1.0
    refund_status: str = "succeeded"
    refund_settles_to: str | None = None
    refund_settles_after_seconds: float = 0.0
    accepts_api_key: bool = True
    refused_key_status: int = 401


def webhook_signature(secret: str) -> Callable[[str], dict[str, str]]:
    """Sign as docs.stripe.com/webhooks/signature describes; on real time, which receivers compare with theirs.

    Made without the SDK, so that the SDK's verification is tested by something else than itself.
    """

    def sign(body: str) -> dict[str, str]:
        at = int(time.time())
        digest = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={at},v1={digest}"}

    return sign


class StripeAccount:
    """What the operations work on. Everything they write is in the transaction of the request."""

    def __init__(self, store: DurableStore, webhooks: WebhookSender) -> None:
        self.store = store
        self.ledger = MoneyLedger(store)
        self.methods = PaymentMethods(store)
        self.webhooks = webhooks
        self.timers = TimerQueue(store, self._fire)
        self.settings = AccountSettings()
        self._timer_handlers: dict[str, Callable[[str], None]] = {}

    def now(self) -> int:
        return int(self.store.now())

    def on_timer(self, kind: str, handler: Callable[[str], None]) -> None:
        self._timer_handlers[kind] = handler

    def _fire(self, kind: str, subject: str) -> None:
        self._timer_handlers[kind](subject)

    def get(self, kind: str, object_id: str, param: str = "id") -> Document:
        found = self.store.find(kind, object_id)
        if found is None:
            raise missing(kind, object_id, param)
        return found

    def emit(self, kind: str, subject: Document, call: Call | None = None) -> None:
        """Record an event and queue its webhook, with the object as it is now."""
        request_id, key = (call.request_id, call.key) if call else (None, None)
        endpoints = 1 if self.webhooks.url else 0
        event = stripe_objects.event(kind, subject, self.now(), request_id, key, endpoints)
        self.store.add("event", event, owner=kind)
        self.webhooks.enqueue(json.dumps(event))
