"""Where an issuer's public keys come from: a file in development, an https address elsewhere (RFC 7517)."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path
from typing import Any, Protocol

import httpx
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey
from pydantic_core import from_json

PATIENCE = 5.0  # seconds for one fetch
LARGEST = 64 * 1024  # bytes
SMALLEST_RSA = 2048  # bits (NIST SP 800-131A)
CURVES = ("P-256", "Ed25519")
PUBLIC_PARTS = ("kty", "kid", "crv", "x", "y", "n", "e", "alg")


class KeysUnreadable(Exception):
    """The keys cannot be had, or are none."""


class KeySource(Protocol):
    """Gives the keys as they are now. Raises KeysUnreadable."""

    async def fetch(self) -> KeySet: ...

    async def aclose(self) -> None: ...


class FileOfKeys:
    """A JWKS file, as `make up` writes it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def fetch(self) -> KeySet:
        try:
            return read_keys(await asyncio.to_thread(self._file.read_bytes))
        except OSError as error:
            raise KeysUnreadable(f"{self._file}: {error.strerror}") from None

    async def aclose(self) -> None:
        """There is nothing to close."""


class AddressOfKeys:
    """An issuer's `jwks_uri`. A redirect is not followed: it would lead to somebody whom nobody has named."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        self._http = httpx.AsyncClient(timeout=PATIENCE, follow_redirects=False, transport=transport)

    async def fetch(self) -> KeySet:
        try:
            async with asyncio.timeout(PATIENCE), self._http.stream("GET", self._url) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise KeysUnreadable(f"the issuer answers {answer.status_code}")
                body = b""
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > LARGEST:
                        raise KeysUnreadable(f"the issuer's answer has more than {LARGEST} bytes")
        except (httpx.HTTPError, TimeoutError) as error:
            raise KeysUnreadable(f"the issuer does not answer ({type(error).__name__})") from None
        return read_keys(body)

    async def aclose(self) -> None:
        await self._http.aclose()


def read_keys(document: bytes) -> KeySet:
    """The keys that we verify with; others in the set are passed over. Raises KeysUnreadable for what is no set."""
    try:
        given = from_json(document)["keys"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of weak keys, which are passed over
            found: list[OctKey | RSAKey | ECKey | OKPKey] = [
                key for one in given if (key := _usable(one)) is not None
            ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeysUnreadable("it is no set of keys (RFC 7517)") from None
    if not found:
        raise KeysUnreadable("there is no key in it that tokens are verified with")
    return KeySet(found)


def _usable(given: dict[str, Any]) -> ECKey | RSAKey | OKPKey | None:
    """A public key with an id, for signatures, of a kind and size that we take; without its private part."""
    if not isinstance(given.get("kid"), str) or given.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in given.items() if name in PUBLIC_PARTS}
    try:
        match given.get("kty"):
            case "EC" if given.get("crv") in CURVES:
                return ECKey.import_key(public)
            case "OKP" if given.get("crv") in CURVES:
                return OKPKey.import_key(public)
            case "RSA":
                key = RSAKey.import_key(public)
                return key if key.raw_value.key_size >= SMALLEST_RSA else None
    except (JoseError, ValueError, TypeError):
        return None
    return None
