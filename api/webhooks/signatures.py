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


def check_stripe(raw: bytes, header: str | None, *secrets: SecretStr | None) -> None:
    """One of the secrets has to fit; those that are None do not count. Raises Malformed.

    The SDK takes times in the future; we do not, since such a signature could be replayed for long.
    https://docs.stripe.com/webhooks#verify-manually
    """
    try:
        text, header = raw.decode(), header or ""
        header.encode("ascii")  # the SDK compares digests as texts, which have to be ASCII
        if not any(_fits(text, header, secret) for secret in secrets if secret is not None):
            raise bad_signature()
        fresh = _signed_at(header) <= time.time() + TOLERANCE
    except ValueError:
        raise bad_signature() from None
    if not fresh:
        raise bad_signature()


def _fits(text: str, header: str, secret: SecretStr) -> bool:
    try:
        return bool(WebhookSignature.verify_header(text, header, secret.get_secret_value(), TOLERANCE))
    except SignatureVerificationError:
        return False


def check_carrier(raw: bytes, header: str | None, *secrets: SecretStr | None) -> None:
    """Likewise. Raises Malformed. https://docs.easypost.com/docs/webhooks"""
    given, fitting = (header or "").encode(), False
    for secret in secrets:
        if secret is not None:
            digest = hmac.new(secret.get_secret_value().encode(), raw, hashlib.sha256).hexdigest()
            fitting |= hmac.compare_digest(given, f"{CARRIER_PREFIX}{digest}".encode())
    if not fitting:
        raise bad_signature()


def bad_signature() -> Malformed:
    return Malformed("bad_signature", "the signature does not fit the body")


def _signed_at(header: str) -> int:
    return int(next((part[2:] for part in header.split(",") if part.startswith("t=")), "-1"))
