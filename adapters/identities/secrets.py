"""What is made with the service's own secret: ids that nobody can foresee, and short words that only we can sign.

Each use has a key of its own, so that what is signed for one is worth nothing for another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

from pydantic import SecretStr
from pydantic_core import from_json, to_json


class Secret:
    """The service's secret, for one use; `use` is a constant of ours."""

    def __init__(self, secret: SecretStr, use: str) -> None:
        self._key = hmac.digest(secret.get_secret_value().encode(), f"ordersaga {use}".encode(), hashlib.sha256)

    def digest(self, *parts: str) -> str:
        """64 hex digits of the parts, which are kept apart: ("a", "bc") is not ("ab", "c")."""
        text = "".join(f"{len(part)}:{part}" for part in parts)
        return hmac.digest(self._key, text.encode(), hashlib.sha256).hex()

    def signed(self, document: dict[str, Any]) -> str:
        """The document with its signature, in characters that an address may have."""
        body = to_json(document)
        return f"{_text(body)}.{_text(hmac.digest(self._key, body, hashlib.sha256))}"

    def read(self, signed: str) -> dict[str, Any] | None:
        """The document; None for what we have not signed."""
        body, _, signature = signed.partition(".")
        try:
            given, said = _bytes(body), _bytes(signature)
        except (ValueError, binascii.Error):
            return None
        if not hmac.compare_digest(hmac.digest(self._key, given, hashlib.sha256), said):
            return None
        document: dict[str, Any] = from_json(given)
        return document


def _text(given: bytes) -> str:
    return base64.urlsafe_b64encode(given).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
