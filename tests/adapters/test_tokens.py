"""Which tokens count, and where the keys to verify them come from."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
import warnings
from typing import Any

import httpx
import pytest
from joserfc import jws, jwt
from joserfc.jwk import KeySet, OctKey, OKPKey, RSAKey

from adapters.identities.development import DevelopmentKey, new_key
from adapters.identities.key_sources import AddressOfKeys, KeysUnreadable, read_keys
from adapters.identities.keys import KEPT, REFRESH, UNKNOWN, Keys
from adapters.identities.tokens import LARGEST, TYPE, Tokens
from adapters.identity_settings import DEVELOPMENT_ISSUER
from domain.errors import Unauthenticated, Unavailable
from domain.identities import Kind, Role
from tests.support.waiting import until

KEY, OTHER = new_key(), new_key()


class Source:
    """Keys that a test changes, and can take away."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.document: dict[str, Any] = {"keys": [key for one in documents for key in one["keys"]]}
        self.away, self.asked = False, 0

    async def fetch(self) -> KeySet:
        self.asked += 1
        if self.away:
            raise KeysUnreadable("away")
        return read_keys(json.dumps(self.document).encode())

    async def aclose(self) -> None: ...


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def tokens(source: Source, clock: Clock | None = None) -> Tokens:
    return Tokens(Keys(source, clock or Clock()), DEVELOPMENT_ISSUER, "ordersaga")


def signed(header: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
    return jwt.encode(header, claims, key, algorithms=[header["alg"]])


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    usual = {
        "iss": DEVELOPMENT_ISSUER,
        "aud": "ordersaga",
        "sub": "anna",
        "scope": "shop",
        "iat": now,
        "exp": now + 60,
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


async def test_tells_who_it_is() -> None:
    found = await tokens(Source(KEY.public)).principal(KEY.token([Role.CUSTOMER], customer_id="123"))
    assert (found.subject, found.roles, found.customer_id, found.kind) == (
        "123",
        frozenset([Role.CUSTOMER]),
        "123",
        Kind.PERSON,
    )


async def test_client_credentials_are_a_service() -> None:
    """RFC 9068: without a person the subject is the client."""
    found = await tokens(Source(KEY.public)).principal(KEY.token([Role.SHOP], subject="web", client_id="web"))
    assert found.kind is Kind.SERVICE


NOW = int(time.time())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"iss": "https://other"}, "iss does not fit"),
        ({"iss": None}, "iss is missing"),
        ({"aud": "other"}, "aud does not fit"),
        ({"aud": None}, "aud is missing"),
        ({"sub": None}, "sub is missing"),
        ({"sub": ""}, "sub"),
        ({"sub": "a\nb"}, "printable"),
        ({"sub": 7}, "sub"),
        ({"scope": None}, "scope is missing"),
        ({"scope": ["shop"]}, "scope has to be a string"),
        ({"exp": None}, "exp is missing"),
        ({"exp": NOW - 31, "iat": NOW - 60}, "expired"),
        ({"exp": True}, "exp does not fit"),
        ({"iat": None}, "iat is missing"),
        ({"iat": NOW + 3000, "exp": NOW + 3060}, "iat does not fit"),
        ({"nbf": NOW + 3000}, "nbf does not fit"),
        ({"exp": NOW + 3700, "iat": NOW}, "lives longer"),
        ({"customer_id": "../1"}, "customer_id"),
        ({"customer_id": 1}, "customer_id"),
    ],
)
async def test_refuses_claims_that_do_not_fit(changed: dict[str, Any], said: str) -> None:
    token = signed({"typ": TYPE, "alg": "ES256", "kid": str(KEY._key.kid)}, claims(**changed), KEY._key)
    with pytest.raises(Unauthenticated) as refused:
        await tokens(Source(KEY.public)).principal(token)
    assert said in refused.value.detail
    assert token not in refused.value.detail


async def test_takes_what_clocks_differ_by() -> None:
    token = KEY.token([Role.SHOP], iat=NOW - 60, exp=int(time.time()) - 20)
    assert (await tokens(Source(KEY.public)).principal(token)).subject == "shop"


async def version(keys: Keys) -> int:
    return keys.version


def _part(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def _by_hmac(header: dict[str, Any], secret: bytes) -> str:
    """By hand: the library itself refuses a public key as a secret."""
    said = f"{_part(header)}.{_part(claims())}"
    digest = hmac.digest(secret, said.encode(), hashlib.sha256)
    return f"{said}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _forged() -> dict[str, str]:
    kid = str(KEY._key.kid)
    usual = {"typ": TYPE, "alg": "ES256", "kid": kid}
    good = KEY.token([Role.SHOP])
    return {
        "no signature": f"{_part(usual | {'alg': 'none'})}.{_part(claims())}.",
        "HMAC with the public key": _by_hmac(usual | {"alg": "HS256"}, KEY._key.as_pem(private=False)),
        "another's key under our id": signed(usual, claims(), OTHER._key),
        "a key that is not published": OTHER.token([Role.SHOP]),
        "an ID token": signed(usual | {"typ": "JWT"}, claims(), KEY._key),
        "no type": signed({"alg": "ES256", "kid": kid}, claims(), KEY._key),
        "no key id": signed({"typ": TYPE, "alg": "ES256"}, claims(), KEY._key),
        "a critical header": jws.serialize_compact(
            usual | {"crit": ["b64"], "b64": True}, json.dumps(claims()).encode(), KEY._key
        ),
        "another body": f"{good.partition('.')[0]}.{_part(claims(sub='root'))}.{good.rpartition('.')[2]}",
        "too large": KEY.token([Role.SHOP], more="x" * LARGEST),
        "not ASCII": good + "é",
        "no token": "token",
        "four parts": good + ".x",
    }


@pytest.mark.parametrize(("what", "token"), _forged().items(), ids=list(_forged()))
async def test_refuses_what_the_issuer_has_not_signed(what: str, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await tokens(Source(KEY.public)).principal(token)


@pytest.mark.parametrize("alg", ["RS256", "Ed25519", "EdDSA"])
async def test_takes_the_other_kinds_of_signature(alg: str) -> None:
    key = RSAKey.generate_key(2048, {"kid": "k"}) if alg == "RS256" else OKPKey.generate_key("Ed25519", {"kid": "k"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        token = signed({"typ": TYPE, "alg": alg, "kid": "k"}, claims(), key)
    source = Source({"keys": [key.as_dict(private=False)]})
    assert (await tokens(source).principal(token)).subject == "anna"


def test_weak_and_foreign_keys_are_passed_over() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weak = RSAKey.generate_key(1024, {"kid": "weak"}).as_dict(private=False)
    shared = OctKey.generate_key(256, {"kid": "shared"}).as_dict()
    good = KEY.public["keys"][0]
    found = read_keys(json.dumps({"keys": [weak, shared, good | {"use": "enc"}, good]}).encode())
    assert [key.kid for key in found.keys] == [good["kid"]]
    for nothing in (b"", b"[]", b'{"keys": 1}', b'{"keys": [1]}', json.dumps({"keys": [weak]}).encode()):
        with pytest.raises(KeysUnreadable):
            read_keys(nothing)


# keys that change -------------------------------------------------------------------------------------------------


async def test_a_token_is_verified_once() -> None:
    checks, token = tokens(Source(KEY.public)), KEY.token([Role.SHOP])
    assert await checks.principal(token) is await checks.principal(token)


async def test_an_unknown_key_is_looked_for_once_in_a_while() -> None:
    """Anybody can send tokens of unknown keys: the issuer must not be asked for each."""
    source, clock = Source(KEY.public), Clock()
    checks = tokens(source, clock)
    await checks.principal(KEY.token([Role.SHOP]))
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await checks.principal(OTHER.token([Role.SHOP]))
    assert source.asked == 1
    source.document = OTHER.public
    clock.now += UNKNOWN
    assert (await checks.principal(OTHER.token([Role.SHOP]))).subject == "shop"
    assert source.asked == 2


async def test_a_key_that_is_withdrawn_counts_no_longer() -> None:
    """Also for tokens that were verified before."""
    source, clock, token = Source(KEY.public, OTHER.public), Clock(), KEY.token([Role.SHOP])
    keys = Keys(source, clock)
    checks = Tokens(keys, DEVELOPMENT_ISSUER, "ordersaga")
    await checks.principal(token)
    source.document = OTHER.public
    clock.now += REFRESH + 1
    await checks.principal(OTHER.token([Role.SHOP]))  # has the keys read anew, behind its answer
    await until(lambda: version(keys), 2)
    with pytest.raises(Unauthenticated):
        await checks.principal(token)


async def test_the_last_good_keys_are_kept_for_a_day() -> None:
    source, clock = Source(KEY.public), Clock()
    checks = tokens(source, clock)
    await checks.principal(KEY.token([Role.SHOP]))
    source.away = True
    clock.now += KEPT - 1
    assert await checks.principal(KEY.token([Role.SHOP], subject="still"))
    await asyncio.sleep(0)
    clock.now += 2
    with pytest.raises(Unavailable):
        await checks.principal(KEY.token([Role.SHOP], subject="late"))


async def test_without_any_keys_it_is_later_not_never() -> None:
    source = Source(KEY.public)
    source.away = True
    with pytest.raises(Unavailable) as refused:
        await tokens(source).principal(KEY.token([Role.SHOP]))
    assert refused.value.code == "identities_away"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(302, headers={"Location": "https://elsewhere/jwks"}),
        httpx.Response(200, content=b"x" * 70_000),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(500),
    ],
    ids=["redirect", "too large", "no JSON", "error"],
)
async def test_an_address_has_to_give_the_keys_itself(answer: httpx.Response) -> None:
    asked: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return answer

    source = AddressOfKeys("https://issuer/jwks", httpx.MockTransport(serve))
    with pytest.raises(KeysUnreadable):
        await source.fetch()
    await source.aclose()
    assert asked == ["https://issuer/jwks"]


async def test_an_address_gives_the_keys() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=KEY.public))
    source = AddressOfKeys("https://issuer/jwks", transport)
    assert [key.kid for key in (await source.fetch()).keys] == [KEY.public["keys"][0]["kid"]]
    await source.aclose()


def test_the_public_half_has_no_private_part() -> None:
    assert isinstance(KEY, DevelopmentKey)
    assert "d" in KEY.private
    assert all("d" not in one for one in KEY.public["keys"])
