"""Has the shop sent this webhook? As Standard Webhooks has it, with nothing but the standard library."""

import base64
import hashlib
import hmac
import time


def is_genuine(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """`body` as it came, byte for byte; the names of `headers` in lower case."""
    message_id, sent_at = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(sent_at)) > 300:  # an old one that somebody has kept
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{message_id}.{sent_at}.".encode() + body, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(signed)
    return any(hmac.compare_digest(one.encode(), expected) for one in headers["webhook-signature"].split())
