"""Control endpoints of the Stripe simulator: the customer, the bank, settings, the ledger."""

from collections.abc import Callable
from typing import Any

from starlette.routing import Route

from devstack.simulators.control_endpoints import control_route, view_route
from devstack.stripe.account import StripeAccount
from devstack.stripe.disputes import Disputes
from devstack.stripe.errors import StripeFailure
from devstack.stripe.ledger import audit
from devstack.stripe.payments import PaymentIntents
from devstack.stripe.refunds import Refunds
from devstack.stripe.reviews import Reviews

_REFUND_STATUSES = ("succeeded", "pending", "failed")


class StripeControls:
    """What happens at Stripe without a request of ours."""

    def __init__(
        self,
        account: StripeAccount,
        intents: PaymentIntents,
        refunds: Refunds,
        disputes: Disputes,
        reviews: Reviews,
    ) -> None:
        self._account = account
        self._intents = intents
        self._refunds = refunds
        self._disputes = disputes
        self._reviews = reviews

    def routes(self) -> list[Route]:
        ledger = self._account.ledger
        return [
            control_route("/_control/payment_intents/{id}/authenticate", self._authenticate),
            control_route("/_control/payment_intents/{id}/expire", self._expire),
            control_route("/_control/refunds", self._set_refunds),
            control_route("/_control/refunds/{id}", self._settle_refund),
            control_route("/_control/payment_methods/{id}", self._set_outcome),
            control_route("/_control/disputes", self._open_dispute),
            control_route("/_control/disputes/{id}/close", self._close_dispute),
            control_route("/_control/reviews", self._open_review),
            control_route("/_control/search_lag", self._set_search_lag),
            control_route("/_control/api_key", self._set_api_key),
            view_route("/_control/ledger", lambda request: ledger.entries(request.query_params.get("order_id"))),
            view_route("/_control/audit", lambda _: audit(ledger.entries())),
        ]

    def _play(self, act: Callable[[], Any]) -> Any:
        """In a transaction; what Stripe would refuse is a bad request to the control endpoint."""
        try:
            with self._account.store.transaction():
                return act()
        except StripeFailure as failure:
            raise ValueError(str(failure)) from failure

    def _authenticate(self, body: dict[str, Any]) -> Any:
        return self._play(lambda: self._intents.authenticate(body["id"], bool(body["succeed"])))

    def _expire(self, body: dict[str, Any]) -> Any:
        return self._play(lambda: self._intents.expire(body["id"]))

    def _set_outcome(self, body: dict[str, Any]) -> Any:
        return self._play(lambda: self._account.methods.set_outcome(body["id"], body["decline_code"]))

    def _open_dispute(self, body: dict[str, Any]) -> Any:
        reason, status = body.get("reason", "fraudulent"), body.get("status", "needs_response")
        return self._play(lambda: self._disputes.open(body["payment_intent"], reason, status))

    def _close_dispute(self, body: dict[str, Any]) -> Any:
        return self._play(lambda: self._disputes.close(body["id"], body["status"]))

    def _open_review(self, body: dict[str, Any]) -> Any:
        return self._play(lambda: self._reviews.open_by_hand(body["payment_intent"]))

    def _set_refunds(self, body: dict[str, Any]) -> Any:
        settings = self._account.settings
        settles_to = body.get("settles_to")
        if body["status"] not in _REFUND_STATUSES or settles_to not in (None, "succeeded", "failed"):
            raise ValueError(f"status must be one of {_REFUND_STATUSES}, settles_to succeeded or failed")
        settings.refund_status = body["status"]
        settings.refund_settles_to = settles_to
        settings.refund_settles_after_seconds = float(body.get("settles_after_seconds", 0))
        return vars(settings)

    def _settle_refund(self, body: dict[str, Any]) -> Any:
        return self._play(lambda: self._refunds.settle(body["id"], body["status"]))

    def _set_search_lag(self, body: dict[str, Any]) -> Any:
        self._account.settings.search_lag_seconds = float(body["seconds"])
        return vars(self._account.settings)

    def _set_api_key(self, body: dict[str, Any]) -> Any:
        status = body.get("status", 401)
        if status not in (401, 403):
            raise ValueError("status must be 401 or 403")
        self._account.settings.accepts_api_key = bool(body["accept"])
        self._account.settings.refused_key_status = status
        return vars(self._account.settings)
