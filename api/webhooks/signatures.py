"""Proof that a webhook comes from Stripe or the carrier, checked on the raw bytes."""

from __future__ import annotations

import hashlib
import hmac
import time

from pydantic import SecretStr
from stripe import SignatureVerificationError, WebhookSignature

from api.http.statuses import Malformed

TOLERANCE = 300  # seconds between a signature and its arrival, Stripe's own default
CARRIER_PREFIX = "hmac-sha256-hex="


def check_stripe(raw: bytes, header: str | None, secret: SecretStr) -> None:
    """Raises Malformed. https://docs.stripe.com/webhooks#verify-manually

    The SDK takes times in the future; we do not, since such a signature could be replayed for long.
    """
    try:
        text = raw.decode()
        WebhookSignature.verify_header(text, header or "", secret.get_secret_value(), TOLERANCE)
        fresh = _signed_at(header or "") <= time.time() + TOLERANCE
    except (SignatureVerificationError, ValueError):
        raise bad_signature() from None
    if not fresh:
        raise bad_signature()


def check_carrier(raw: bytes, header: str | None, secret: SecretStr) -> None:
    """Raises Malformed. https://docs.easypost.com/docs/webhooks"""
    digest = hmac.new(secret.get_secret_value().encode(), raw, hashlib.sha256).hexdigest()
    if not hmac.compare_digest((header or "").encode(), f"{CARRIER_PREFIX}{digest}".encode()):
        raise bad_signature()


def bad_signature() -> Malformed:
    return Malformed("bad_signature", "the signature does not fit the body")


def _signed_at(header: str) -> int:
    return int(next((part[2:] for part in header.split(",") if part.startswith("t=")), "-1"))
