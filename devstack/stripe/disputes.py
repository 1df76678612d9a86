"""Disputes (docs.stripe.com/disputes/how-disputes-work): the bank takes the money back until somebody wins."""

from devstack.simulators.durable_store import Document
from devstack.stripe import objects as stripe_objects
from devstack.stripe.account import StripeAccount
from devstack.stripe.reviews import Reviews

INQUIRY = "warning_needs_response"
_OPEN = ("needs_response", INQUIRY)
_ENDINGS = {"needs_response": ("won", "lost"), INQUIRY: ("warning_closed",)}
_NOT_REFUNDABLE = ("needs_response", "lost")


class Disputes:
    """Of a captured charge; the whole amount that was not refunded. The dispute fee is not modeled."""

    def __init__(self, account: StripeAccount, reviews: Reviews) -> None:
        self._account = account
        self._reviews = reviews

    def open(self, intent_id: str, reason: str, status: str) -> Document:
        """Play the cardholder. An inquiry (`warning_needs_response`) withdraws nothing."""
        if status not in _OPEN or not reason:
            raise ValueError(f"give a reason, and a status of {_OPEN}")
        intent = self._account.get("payment_intent", intent_id)
        charge = self._account.get("charge", intent["latest_charge"] or "none")
        amount = charge["amount_captured"] - charge["amount_refunded"]
        if amount <= 0 or _newest_status(self._account, charge) in (*_OPEN, "lost"):
            raise ValueError(f"{charge['id']} has nothing to dispute: it is not captured, refunded, or disputed")
        dispute = stripe_objects.dispute(charge, amount, reason, status, self._account.now())
        charge["disputed"] = True
        self._account.store.add("dispute", dispute, owner=intent_id)
        self._account.store.save(charge)
        self._reviews.end(intent, "disputed")
        self._account.emit("charge.dispute.created", dispute)
        if status != INQUIRY:
            self._account.ledger.record("dispute_withdrawn", intent, amount)
            self._account.emit("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def close(self, dispute_id: str, status: str) -> Document:
        """Play the bank's decision: `won` gives the money back, `lost` does not, an inquiry just ends."""
        dispute = self._account.get("dispute", dispute_id)
        endings = _ENDINGS.get(dispute["status"], ())
        if status not in endings:
            raise ValueError(f"a dispute that is {dispute['status']} can become {endings or 'nothing else'}")
        dispute |= {"status": status, "is_charge_refundable": status != "lost"}
        self._account.store.save(dispute)
        if status == "won":
            intent = self._account.get("payment_intent", dispute["payment_intent"])
            self._account.ledger.record("dispute_reinstated", intent, dispute["amount"])
            self._account.emit("charge.dispute.funds_reinstated", dispute)
        self._account.emit("charge.dispute.closed", dispute)
        return dispute


def is_disputed(account: StripeAccount, charge: Document) -> bool:
    """Whether the money is with the bank, so that a refund is refused."""
    return _newest_status(account, charge) in _NOT_REFUNDABLE


def _newest_status(account: StripeAccount, charge: Document) -> str | None:
    newest = account.store.newest("dispute", [("owner = ?", charge["payment_intent"])], 1)
    return newest[0]["status"] if newest else None
