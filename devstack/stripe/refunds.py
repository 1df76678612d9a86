"""Refunds (docs.stripe.com/refunds): never above what was captured, finished only when `succeeded`."""

from devstack.simulators.durable_store import Document
from devstack.stripe import objects as stripe_objects
from devstack.stripe.account import Call, StripeAccount
from devstack.stripe.disputes import is_disputed
from devstack.stripe.errors import StripeFailure, charge_disputed, invalid_request
from devstack.stripe.parameters import Params
from devstack.stripe.reviews import Reviews

_SETTLE = "settle_refund"


class Refunds:
    """A refund counts against the charge from its creation on; one that fails gives the amount back to it."""

    def __init__(self, account: StripeAccount, reviews: Reviews) -> None:
        self._account = account
        self._reviews = reviews
        account.on_timer(_SETTLE, self._settle_by_timer)

    def create(self, call: Call) -> Document:
        charge = self._charge_of(call.params)
        amount = self._amount(charge, call.params)
        status = self._account.settings.refund_status
        refund = stripe_objects.refund(charge, call.params, amount, status, self._account.now())
        self._account.store.add("refund", refund, owner=charge["payment_intent"])
        self._add_to_charge(charge, amount)
        self._account.ledger.record("refund", self._intent_of(refund), amount)
        self._account.emit("refund.created", refund, call)
        self._account.emit("charge.refunded", charge, call)
        if charge["refunded"]:
            reason = "refunded_as_fraud" if call.params.get("reason") == "fraudulent" else "refunded"
            self._reviews.end(self._intent_of(refund), reason)
        if status == "failed":
            self._fail(refund)
        elif status == "pending" and self._account.settings.refund_settles_to is not None:
            due_at = self._account.store.now() + self._account.settings.refund_settles_after_seconds
            self._account.timers.set(due_at, _SETTLE, refund["id"])
        return refund

    def settle(self, refund_id: str, status: str) -> Document:
        """Play the bank: a pending refund becomes `succeeded`, a pending or succeeded one `failed`."""
        refund = self._account.get("refund", refund_id)
        if status == "failed" and refund["status"] in ("pending", "succeeded"):
            self._fail(refund)
        elif status == "succeeded" and refund["status"] == "pending":
            refund |= {"status": "succeeded", "pending_reason": None}
            self._account.store.save(refund)
            self._account.emit("refund.updated", refund)
        else:
            raise ValueError(f"a refund that is {refund['status']} cannot become {status}")
        return refund

    def _settle_by_timer(self, refund_id: str) -> None:
        settles_to = self._account.settings.refund_settles_to or "succeeded"
        if self._account.get("refund", refund_id)["status"] == "pending":
            self.settle(refund_id, settles_to)

    def _fail(self, refund: Document) -> None:
        refund |= {"status": "failed", "failure_reason": "expired_or_canceled_card", "pending_reason": None}
        self._account.store.save(refund)
        self._add_to_charge(self._account.get("charge", refund["charge"]), -refund["amount"])
        self._account.ledger.record("refund_failed", self._intent_of(refund), refund["amount"])
        self._account.emit("refund.failed", refund)

    def _add_to_charge(self, charge: Document, amount: int) -> None:
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] >= charge["amount_captured"]
        self._account.store.save(charge)

    def _intent_of(self, refund: Document) -> Document:
        return self._account.get("payment_intent", refund["payment_intent"])

    def _charge_of(self, params: Params) -> Document:
        if ("payment_intent" in params) == ("charge" in params):
            raise invalid_request("Give one of payment_intent and charge.", code="parameter_missing", param="charge")
        if "charge" in params:
            charge = self._account.get("charge", params["charge"], "charge")
        else:
            intent = self._account.get("payment_intent", params["payment_intent"], "payment_intent")
            if intent["latest_charge"] is None:
                raise _not_refundable(f"PaymentIntent {intent['id']} has no successful charge to refund.")
            charge = self._account.get("charge", intent["latest_charge"])
        if not charge["captured"]:
            raise _not_refundable(f"Charge {charge['id']} was not captured: cancel its PaymentIntent instead.")
        if is_disputed(self._account, charge):
            raise charge_disputed(charge["id"])
        return charge

    def _amount(self, charge: Document, params: Params) -> int:
        remaining: int = charge["amount_captured"] - charge["amount_refunded"]
        amount: int = params.get("amount", remaining)
        if remaining <= 0:
            message = f"Charge {charge['id']} has already been refunded."
            raise invalid_request(message, code="charge_already_refunded", saved=True)
        if amount < 1:
            raise invalid_request("Invalid positive integer", code="parameter_invalid_integer", param="amount")
        if amount > remaining:
            message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({remaining})."
            raise invalid_request(message, code="amount_too_large", param="amount", saved=True)
        return amount


def _not_refundable(message: str) -> StripeFailure:
    return invalid_request(message, code="charge_not_refundable", saved=True)
