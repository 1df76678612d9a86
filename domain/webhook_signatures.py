"""Signatures of webhooks to merchants, as Standard Webhooks has them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: HMAC-SHA256 over id, time
and body, so that a merchant knows who has sent it, that nobody has changed it, and that it is not an old one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

PREFIX = "whsec_"
KEY_BYTES = 32  # the specification wants 24 to 64

MESSAGE_ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
"""The headers."""


def secret_of(key: bytes) -> str:
    """A key as merchants are given it."""
    return PREFIX + base64.b64encode(key).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature, with the version of the scheme; `timestamp` is in seconds since 1970."""
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed_headers(secrets: Sequence[str], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of one attempt, signed with every secret: while one is rotated a merchant may know either."""
    timestamp = int(at.timestamp())
    signatures = [signature(secret, message_id, timestamp, body) for secret in secrets]
    return {MESSAGE_ID: message_id, TIMESTAMP: str(timestamp), SIGNATURE: " ".join(signatures)}
