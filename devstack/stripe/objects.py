"""Stripe's objects as JSON. Every key here is one of the SDK's types, which a contract test checks."""

import secrets
from typing import Any

from devstack.simulators.durable_store import Document
from devstack.stripe.parameters import Params

API_VERSION = "2026-10-28.endive"
"""The version that the pinned SDK sends; a test compares the two."""

AUTHORIZATION_SECONDS = 7 * 24 * 3600
OFF_SESSION_AUTHORIZATION_SECONDS = (4 * 24 + 18) * 3600


_EMPTY_AT_FIRST = (
    "application",
    "application_fee_amount",
    "canceled_at",
    "cancellation_reason",
    "last_payment_error",
    "latest_charge",
    "next_action",
    "on_behalf_of",
    "payment_method_configuration_details",
    "processing",
    "review",
    "source",
    "transfer_data",
)
_AS_GIVEN = (
    "allowed_payment_method_types",
    "customer",
    "description",
    "payment_method",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)


_CHARGE_AS_INTENT = (
    "amount",
    "currency",
    "customer",
    "description",
    "metadata",
    "payment_method",
    "receipt_email",
    "shipping",
    "transfer_group",
)
_PLAIN_CHARGE = {
    **dict.fromkeys(("application", "application_fee_amount", "balance_transaction", "receipt_url", "review")),
    "object": "charge",
    "amount_refunded": 0,
    "calculated_statement_descriptor": "ORDER SAGA TEST",
    "disputed": False,
    "livemode": False,
    "refunded": False,
    "transfer_data": None,
}


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def payment_intent(params: Params, now: int) -> Document:
    intent_id = new_id("pi")
    automatic = None if "allowed_payment_method_types" in params else {"allow_redirects": "always", "enabled": True}
    return {
        **dict.fromkeys(_EMPTY_AT_FIRST),
        **{name: params.get(name) for name in _AS_GIVEN},
        "id": intent_id,
        "object": "payment_intent",
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "automatic_payment_methods": params.get("automatic_payment_methods", automatic),
        "capture_method": params.get("capture_method", "automatic_async"),
        "client_secret": f"{intent_id}_secret_{secrets.token_hex(12)}",
        "confirmation_method": "automatic",
        "created": now,
        "currency": params["currency"],
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "status": "requires_confirmation" if params.get("payment_method") else "requires_payment_method",
    }


def charge(
    intent: Document,
    now: int,
    failure: dict[str, Any] | None = None,
    *,
    off_session: bool = False,
    reviewed: bool = False,
) -> Document:
    """An authorized charge of the whole intent, or the record of an attempt that was declined."""
    held_for = OFF_SESSION_AUTHORIZATION_SECONDS if off_session else AUTHORIZATION_SECONDS
    manual = intent["capture_method"] == "manual" and failure is None
    captured = not manual and failure is None
    return {
        **_PLAIN_CHARGE,
        **{name: intent[name] for name in _CHARGE_AS_INTENT},
        "id": new_id("ch"),
        "amount_captured": intent["amount"] if captured else 0,
        "billing_details": {"address": None, "email": None, "name": None, "phone": None},
        "captured": captured,
        "created": now,
        "failure_code": failure["code"] if failure else None,
        "failure_message": failure["message"] if failure else None,
        "fraud_details": {},
        "outcome": _outcome(failure) | (_TO_REVIEW if reviewed else {}),
        "paid": failure is None,
        "payment_intent": intent["id"],
        "payment_method_details": {
            "card": _card_details(intent, now + held_for if manual else None),
            "type": "card",
        },
        "status": "failed" if failure else "succeeded",
    }


_TO_REVIEW = {"reason": "elevated_risk_level", "risk_level": "elevated", "type": "manual_review"}


def _outcome(failure: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "advice_code": failure.get("advice_code") if failure else None,
        "network_status": "declined_by_network" if failure else "approved_by_network",
        "reason": failure.get("decline_code") if failure else None,
        "risk_level": "normal",
        "seller_message": "The bank declined." if failure else "Payment complete.",
        "type": "issuer_declined" if failure else "authorized",
    }


def _card_details(intent: Document, capture_before: int | None) -> dict[str, Any]:
    return {
        "amount_authorized": intent["amount"],
        "brand": "visa",
        "capture_before": capture_before,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "exp_month": 12,
        "exp_year": 2034,
        "funding": "credit",
        "last4": "4242",
        "multicapture": {"status": "unavailable"},
        "network": "visa",
        "three_d_secure": None,
        "wallet": None,
    }


def refund(taken_from: Document, params: Params, amount: int, status: str, now: int) -> Document:
    return {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": taken_from["id"],
        "created": now,
        "currency": taken_from["currency"],
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": params.get("metadata", {}),
        "payment_intent": taken_from["payment_intent"],
        "pending_reason": "processing" if status == "pending" else None,
        "reason": params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


def customer(params: Params, now: int) -> Document:
    return {
        "id": new_id("cus"),
        "object": "customer",
        "address": params.get("address"),
        "balance": 0,
        "created": now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": params.get("description"),
        "email": params.get("email"),
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "name": params.get("name"),
        "phone": params.get("phone"),
        "shipping": params.get("shipping"),
    }


def event(
    kind: str, subject: Document, now: int, request_id: str | None, key: str | None, endpoints: int
) -> Document:
    return {
        "id": new_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": now,
        "data": {"object": subject},
        "livemode": False,
        "pending_webhooks": endpoints,
        "request": {"id": request_id, "idempotency_key": key},
        "type": kind,
    }


def review(intent: Document, of: Document | None, why: str, now: int) -> Document:
    return {
        "id": new_id("prv"),
        "object": "review",
        "billing_zip": None,
        "charge": of["id"] if of else None,
        "closed_reason": None,
        "created": now,
        "ip_address": None,
        "ip_address_location": None,
        "livemode": False,
        "open": True,
        "opened_reason": why,
        "payment_intent": intent["id"],
        "reason": why,
        "session": None,
    }


def dispute(of: Document, amount: int, reason: str, status: str, now: int) -> Document:
    return {
        "id": new_id("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": of["id"],
        "created": now,
        "currency": of["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {
            "due_by": now + 7 * 24 * 3600,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": status.startswith("warning"),
        "livemode": False,
        "metadata": {},
        "network_reason_code": "10.4" if reason == "fraudulent" else None,
        "payment_intent": of["payment_intent"],
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": "chargeback", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": reason,
        "status": status,
    }
