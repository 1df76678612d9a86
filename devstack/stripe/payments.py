"""PaymentIntents: the state machine (docs.stripe.com/payments/paymentintents/lifecycle)."""

from typing import Any

from devstack.simulators.durable_store import Document
from devstack.stripe import objects as stripe_objects
from devstack.stripe.account import Call, StripeAccount
from devstack.stripe.cards import AUTHENTICATION_FAILED, AUTHENTICATION_REQUIRED, Card, payment_error
from devstack.stripe.errors import card_declined, invalid_request, unexpected_state
from devstack.stripe.parameters import Params
from devstack.stripe.reviews import Reviews

# Minor units; https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts. What is not listed: 50.
_SMALLEST = {"gbp": 30, "aed": 200, "czk": 1500, "dkk": 250, "hkd": 400, "huf": 17500, "mxn": 1000, "nok": 300,
             "pln": 200, "ron": 200, "sek": 300, "thb": 1000}  # fmt: skip
_LARGEST = 99_999_999
_UNCONFIRMED = ("requires_payment_method", "requires_confirmation", "requires_action")
_UPDATABLE = ("description", "receipt_email", "setup_future_usage", "shipping", "statement_descriptor",
              "statement_descriptor_suffix", "transfer_group")  # fmt: skip
_EXPIRY = "expire_authorization"


class PaymentIntents:
    """Each operation takes a call and gives the intent, or raises what Stripe would answer."""

    def __init__(self, account: StripeAccount, reviews: Reviews) -> None:
        self._account = account
        self._reviews = reviews
        account.on_timer(_EXPIRY, self._expire)

    def create(self, call: Call) -> Document:
        params = call.params
        self._check_create(params)
        if params.get("payment_method"):
            params = params | {"payment_method": self._account.methods.adopt(params["payment_method"])}
        intent = stripe_objects.payment_intent(params, self._account.now())
        self._account.store.add("payment_intent", intent, owner=intent["customer"])
        self._account.emit("payment_intent.created", intent, call)
        if params.get("confirm"):
            self._attempt(intent, call)
        return intent

    def _check_create(self, params: Params) -> None:
        _check_amount(params["amount"], params["currency"].lower())
        if params.get("customer"):
            self._account.get("customer", params["customer"], "customer")
        if params.get("payment_method"):
            self._account.methods.check(params["payment_method"], params.get("customer"))
        if "allowed_payment_method_types" in params and "automatic_payment_methods" in params:
            message = "Give allowed_payment_method_types or automatic_payment_methods, not both."
            raise invalid_request(message, code="parameters_exclusive", param="allowed_payment_method_types")
        if "card" not in params.get("allowed_payment_method_types", ["card"]):
            raise invalid_request("This simulator has cards only.", param="allowed_payment_method_types")
        if params.get("confirm"):
            _check_confirmable(stripe_objects.payment_intent(params, 0), params)
        elif any(name in params for name in ("off_session", "error_on_requires_action", "return_url")):
            message = "off_session, error_on_requires_action and return_url are for confirm=true."
            raise invalid_request(message, param="confirm")

    def update(self, call: Call) -> Document:
        intent, params = self._account.get("payment_intent", call.subject, "intent"), call.params
        if (
            params.keys() & {"amount", "customer", "payment_method", "capture_method"}
            and intent["status"] not in _UNCONFIRMED
        ):
            raise unexpected_state(intent, "updated")
        if "amount" in params:
            _check_amount(params["amount"], (params.get("currency") or intent["currency"]).lower())
            intent["amount"] = params["amount"]
        if "customer" in params:
            self._set_customer(intent, params["customer"])
        if "payment_method" in params:
            method = self._checked_method(intent, params)
            intent |= {"payment_method": method, "status": "requires_confirmation"}
        if "capture_method" in params:
            intent["capture_method"] = params["capture_method"]
        intent |= {name: params[name] for name in _UPDATABLE if name in params}
        _merge_metadata(intent, params)
        self._account.store.save(intent)
        return intent

    def _set_customer(self, intent: Document, customer: str) -> None:
        self._account.get("customer", customer, "customer")
        if intent["customer"] not in (None, customer):
            message = "You cannot modify `customer` on a PaymentIntent once it already has been set."
            raise invalid_request(message, code="payment_intent_unexpected_state", param="customer")
        intent["customer"] = customer
        self._account.store.run("UPDATE documents SET owner = ? WHERE id = ?", customer, intent["id"])

    def _checked_method(self, intent: Document, params: Params) -> str | None:
        """The method that the call names, or the intent's own; both must be usable still."""
        name: str | None = params.get("payment_method") or intent["payment_method"]
        if name is None:
            return None
        self._account.methods.check(name, intent["customer"])
        return self._account.methods.adopt(name)

    def confirm(self, call: Call) -> Document:
        intent, params = self._account.get("payment_intent", call.subject, "intent"), call.params
        if intent["status"] not in _UNCONFIRMED:
            raise unexpected_state(intent, "confirmed")
        kept = ("payment_method", "capture_method", "receipt_email", "setup_future_usage")
        changes: Params = {name: params[name] for name in kept if name in params}
        _check_confirmable(intent | changes, params)
        intent |= changes | {"payment_method": self._checked_method(intent, params)}
        self._attempt(intent, call)
        return intent

    def _attempt(self, intent: Document, call: Call) -> None:
        intent |= {"last_payment_error": None, "next_action": None}
        card = self._account.methods.card(intent["payment_method"])
        if card.authenticates and (call.params.get("off_session") or call.params.get("error_on_requires_action")):
            card = AUTHENTICATION_REQUIRED
        if card.code is not None:
            raise card_declined(intent, self._decline(intent, card, call))
        if card.authenticates:
            action: dict[str, Any] = {"type": "three_d_secure_redirect"}
            intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": action}
            intent["status"] = "requires_action"
            self._account.store.save(intent)
            self._account.emit("payment_intent.requires_action", intent, call)
        else:
            self._authorize(intent, call)

    def authenticate(self, intent_id: str, succeed: bool) -> Document:
        """Play the customer at the bank's 3-D Secure page."""
        intent = self._account.get("payment_intent", intent_id, "intent")
        if intent["status"] != "requires_action":
            raise unexpected_state(intent, "authenticated")
        intent["next_action"] = None
        if succeed:
            self._authorize(intent, None)
        else:
            self._decline(intent, AUTHENTICATION_FAILED, None)
        return intent

    def _decline(self, intent: Document, card: Card, call: Call | None) -> dict[str, Any]:
        now = self._account.now()
        error = payment_error(card, intent["payment_method"], None, now)
        if card.decline_code:
            charge = stripe_objects.charge(intent, now, failure=error)
            self._account.store.add("charge", charge, owner=intent["id"])
            error["charge"] = intent["latest_charge"] = charge["id"]
        intent |= {"status": "requires_payment_method", "payment_method": None, "last_payment_error": error}
        self._account.store.save(intent)
        self._account.emit("payment_intent.payment_failed", intent, call)
        return error

    def _authorize(self, intent: Document, call: Call | None) -> None:
        account, method = self._account, intent["payment_method"]
        off_session, reviewed = bool(call and call.params.get("off_session")), account.methods.card(method).reviewed
        account.methods.paid(method, intent["customer"], save=intent["setup_future_usage"] is not None)
        charge = stripe_objects.charge(intent, account.now(), off_session=off_session, reviewed=reviewed)
        self._account.store.add("charge", charge, owner=intent["id"])
        self._account.ledger.record("authorize", intent, intent["amount"])
        intent["latest_charge"] = charge["id"]
        if intent["capture_method"] == "manual":
            intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
            self._account.timers.set(
                charge["payment_method_details"]["card"]["capture_before"], _EXPIRY, intent["id"]
            )
            self._account.emit("payment_intent.amount_capturable_updated", intent, call)
        else:
            self._account.ledger.record("capture", intent, intent["amount"])
            intent |= {"status": "succeeded", "amount_received": intent["amount"]}
            self._account.emit("payment_intent.succeeded", intent, call)
        self._account.store.save(intent)
        if reviewed:
            self._reviews.open(intent, charge, "rule", call)

    def capture(self, call: Call) -> Document:
        """A partial capture releases the rest (docs.stripe.com/payments/place-a-hold-on-a-payment-method)."""
        intent, params = self._account.get("payment_intent", call.subject, "intent"), call.params
        if intent["status"] != "requires_capture":
            raise unexpected_state(intent, "captured")
        capturable: int = intent["amount_capturable"]
        amount: int = params.get("amount_to_capture", capturable)
        if amount < 1:
            raise invalid_request(
                "Invalid positive integer", code="parameter_invalid_integer", param="amount_to_capture"
            )
        if amount > capturable:
            message = f"The remaining amount that can be captured is {capturable}."
            raise invalid_request(message, code="amount_too_large", param="amount_to_capture")
        if params.get("final_capture") is False:
            raise invalid_request("This payment is not eligible for multicapture.", param="final_capture")
        _merge_metadata(intent, params)
        charge = self._account.get("charge", intent["latest_charge"])
        charge |= {"captured": True, "amount_captured": amount}
        intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
        self._account.ledger.record("capture", intent, amount)
        if amount < capturable:
            self._account.ledger.record("release", intent, capturable - amount)
        self._save(intent, charge)
        self._account.emit("charge.captured", charge, call)
        self._account.emit("payment_intent.succeeded", intent, call)
        return intent

    def cancel(self, call: Call) -> Document:
        intent = self._account.get("payment_intent", call.subject, "intent")
        if intent["status"] not in (*_UNCONFIRMED, "requires_capture"):
            raise unexpected_state(intent, "canceled")
        if intent["status"] == "requires_capture":
            self._release(intent, "void")
        self._close(intent, call.params.get("cancellation_reason"))
        self._reviews.end(intent, "canceled")
        self._account.emit("payment_intent.canceled", intent, call)
        return intent

    def expire(self, intent_id: str) -> Document:
        """Ends an authorization now, as its bank would at its time; one that is not held stays as it is."""
        self._expire(intent_id)
        return self._account.get("payment_intent", intent_id)

    def _expire(self, intent_id: str) -> None:
        intent = self._account.get("payment_intent", intent_id)
        if intent["status"] != "requires_capture":
            return
        charge = self._release(intent, "expire")
        self._account.emit("charge.expired", charge)
        self._close(intent, "expired")
        self._reviews.end(intent, "payment_never_settled")
        self._account.emit("payment_intent.canceled", intent)

    def _release(self, intent: Document, kind: str) -> Document:
        """Let the held money go. Since 2025-03-31.basil that leaves no trace of a refund on the charge."""
        self._account.ledger.record(kind, intent, intent["amount_capturable"])
        return self._account.get("charge", intent["latest_charge"])

    def _close(self, intent: Document, reason: str | None) -> None:
        intent |= {"status": "canceled", "canceled_at": self._account.now(), "cancellation_reason": reason}
        intent |= {"amount_capturable": 0, "next_action": None}
        self._account.store.save(intent)

    def _save(self, *documents: Document) -> None:
        for document in documents:
            self._account.store.save(document)


def _merge_metadata(intent: Document, params: Params) -> None:
    merged = intent["metadata"] | params.get("metadata", {})
    intent["metadata"] = {key: value for key, value in merged.items() if value != ""}


def _check_amount(amount: int, currency: str) -> None:
    if amount < 1:
        raise invalid_request("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    smallest = _SMALLEST.get(currency, 50)
    if amount < smallest:
        said = f"Amount must be at least {smallest} {currency} in minor units."
        raise invalid_request(said, code="amount_too_small", param="amount")
    if amount > _LARGEST:
        raise invalid_request("Amount must be no more than $999,999.99.", code="amount_too_large", param="amount")


def _check_confirmable(intent: Document, params: Params) -> None:
    if not intent["payment_method"]:
        raise invalid_request(
            "You cannot confirm this PaymentIntent because it is missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    automatic = intent["automatic_payment_methods"]
    if automatic and automatic["enabled"] and automatic["allow_redirects"] != "never" and "return_url" not in params:
        raise invalid_request(
            "This PaymentIntent may use payment methods that redirect: give a return_url, or create it with "
            "automatic_payment_methods[allow_redirects]=never or allowed_payment_method_types.",
            param="return_url",
        )
