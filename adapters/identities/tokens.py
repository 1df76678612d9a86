"""Tokens of the issuer, verified: access tokens as RFC 9068 has them, with everything pinned that can be.

Verifying costs some tenths of a millisecond; who has shown a token once is known by its hash until it ends.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jws import extract_compact
from joserfc.jwt import JWTClaimsRegistry

from adapters.identities.keys import Keys
from domain.errors import Unauthenticated
from domain.identifiers import is_identifier
from domain.identities import Kind, Principal, roles_of

ALGORITHMS = ["ES256", "RS256", "Ed25519", "EdDSA"]  # the last is the older name of the one before (RFC 9864)
TYPE = "at+jwt"
LARGEST = 8 * 1024  # bytes
LONGEST_LIFE = 3600  # seconds
LEEWAY = 30  # seconds between the issuer's clock and ours
LONGEST_SUBJECT = 100
REMEMBERED = 10_000  # tokens


class Tokens:
    """Verifies tokens of one issuer for one audience; `clock` is seconds since 1970."""

    def __init__(self, keys: Keys, issuer: str, audience: str, clock: Callable[[], float] = time.time) -> None:
        self._keys, self._issuer, self._audience, self._clock = keys, issuer, audience, clock
        self._known: OrderedDict[bytes, Principal] = OrderedDict()
        self._version = keys.version

    async def principal(self, token: str) -> Principal:
        """Who shows the token. Raises Unauthenticated, or Unavailable while there are no keys to verify with."""
        if len(token) > LARGEST:
            raise _refused("the token is too large")
        digest = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        self._forget_if_keys_changed()
        known = self._known.get(digest)
        if known is not None and known.expires_at + LEEWAY > self._clock():
            return known
        found = await self._verified(token)
        self._forget_if_keys_changed()
        self._known[digest] = found
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found

    def _forget_if_keys_changed(self) -> None:
        if self._version != self._keys.version:
            self._known.clear()
            self._version = self._keys.version

    async def _verified(self, token: str) -> Principal:
        header = _header_of(token)
        if header.get("typ") not in (TYPE, f"application/{TYPE}"):
            raise _refused(f"its header has to say that it is an access token: typ {TYPE}")
        if header.get("alg") not in ALGORITHMS or not isinstance(kid := header.get("kid"), str):
            raise _refused("its header has to name a key and one of ES256, RS256, EdDSA")
        if "crit" in header:
            raise _refused("its header has a part that we do not know")
        keys = await self._keys.of(kid)
        if keys is None:
            raise _refused("it is signed with a key that the issuer does not publish")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)  # of the older name of Ed25519
                claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            self._rules().validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise _refused(_said(error)) from None
        if claims["exp"] - claims["iat"] > LONGEST_LIFE:
            raise _refused(f"it lives longer than {LONGEST_LIFE} seconds")
        return _principal(claims)

    def _rules(self) -> JWTClaimsRegistry:
        # Without `essential` a claim that is absent would pass.
        return JWTClaimsRegistry(
            now=int(self._clock()),
            leeway=LEEWAY,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            scope={"essential": True},
        )


def _header_of(token: str) -> Mapping[str, Any]:
    try:
        header: Mapping[str, Any] = extract_compact(token.encode("ascii")).headers()
    except (JoseError, ValueError, TypeError):
        raise _refused("it is no JSON web token") from None
    return header


def _principal(claims: Mapping[str, Any]) -> Principal:
    subject, scope, customer = claims["sub"], claims["scope"], claims.get("customer_id")
    if not (isinstance(subject, str) and _is_name(subject)):
        raise _refused(f"its subject has to be 1 to {LONGEST_SUBJECT} printable characters")
    if not isinstance(scope, str):
        raise _refused("its scope has to be a string")
    if customer is not None and not (isinstance(customer, str) and is_identifier(customer)):
        raise _refused("its customer_id is none")
    is_service = claims.get("client_id") == subject  # RFC 9068, section 2.2: no resource owner was involved
    return Principal(
        issuer=claims["iss"],
        subject=subject,
        kind=Kind.SERVICE if is_service else Kind.PERSON,
        roles=roles_of(scope.split()),
        customer_id=customer,
        expires_at=float(claims["exp"]),
        scopes=frozenset(scope.split()),
    )


def _is_name(subject: str) -> bool:
    """Whether it can stand in a timeline and on a terminal, whole and as it is."""
    return 0 < len(subject) <= LONGEST_SUBJECT and subject.isprintable() and subject == subject.strip()


def _said(error: Exception) -> str:
    """What is wrong, without anything of the token itself."""
    claim = getattr(error, "claim", None)
    words = {
        "expired_token": "it has expired",
        "bad_signature": "its signature does not fit",
        "missing_claim": f"the claim {claim} is missing",
        "invalid_claim": f"the claim {claim} does not fit",
    }
    return words.get(getattr(error, "error", ""), "it cannot be read")


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated("invalid_token", f"the token is not accepted: {why}")
