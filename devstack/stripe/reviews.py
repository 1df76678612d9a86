"""Reviews (docs.stripe.com/radar/reviews): a payment that somebody has to look at. Money moves on all the same."""

from devstack.simulators.durable_store import Document
from devstack.stripe import objects as stripe_objects
from devstack.stripe.account import Call, StripeAccount
from devstack.stripe.errors import invalid_request


class Reviews:
    """At most one open review of an intent; whatever ends the payment ends its review."""

    def __init__(self, account: StripeAccount) -> None:
        self._account = account

    def open(self, intent: Document, charge: Document | None, why: str, call: Call | None = None) -> Document:
        """`why` is `rule` or `manual`. Writes into both documents, which the caller may go on using."""
        if self._open_review(intent) is not None:
            raise ValueError(f"{intent['id']} is being reviewed already")
        review = stripe_objects.review(intent, charge, why, self._account.now())
        intent["review"] = review["id"]
        self._account.store.add("review", review, owner=intent["id"])
        self._account.store.save(intent)
        if charge is not None:
            charge["review"] = review["id"]
            self._account.store.save(charge)
        self._account.emit("review.opened", review, call)
        return review

    def open_by_hand(self, intent_id: str) -> Document:
        """Play the person who starts a review in the dashboard."""
        intent = self._account.get("payment_intent", intent_id)
        latest = intent["latest_charge"]
        return self.open(intent, self._account.get("charge", latest) if latest else None, "manual")

    def approve(self, call: Call) -> Document:
        review = self._account.get("review", call.subject)
        if not review["open"]:
            raise invalid_request(f"Review {review['id']} is already closed.", saved=True)
        return self._close(review, "approved", call)

    def end(self, intent: Document, reason: str) -> None:
        """The payment was canceled, refunded, disputed or never captured: nobody needs to look any more."""
        review = self._open_review(intent)
        if review is not None:
            self._close(review, reason)

    def _open_review(self, intent: Document) -> Document | None:
        review = self._account.store.find("review", intent["review"]) if intent["review"] else None
        return review if review and review["open"] else None

    def _close(self, review: Document, reason: str, call: Call | None = None) -> Document:
        review |= {"open": False, "closed_reason": reason, "reason": reason}
        self._account.store.save(review)
        self._account.emit("review.closed", review, call)
        return review
