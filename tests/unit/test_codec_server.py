"""The codec server: who gets payloads in clear, from where, and what is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from structlog.testing import capture_logs
from temporalio.api.common.v1 import Payload, Payloads

from adapters.identities.development import new_key
from adapters.identities.key_sources import FileOfKeys
from adapters.identities.keys import Keys
from adapters.identities.tokens import Tokens
from adapters.identity_settings import DEVELOPMENT_ISSUER
from adapters.temporal import codec_tokens, key_files
from adapters.temporal.codec_readers import Readers
from adapters.temporal.codec_tokens import FileOfTokens, read_tokens
from adapters.temporal.encryption import Encryption
from adapters.temporal.key_ring import KeyRing, KeysUnusable
from codec_server import LARGEST, create_app
from domain.identities import DECODE, Role

UI = "http://127.0.0.1:8233"
CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=b'"Zoe"')


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    codec_tokens.make_tokens(tmp_path / "tokens", "alice")
    return tmp_path / "tokens"


@pytest.fixture
def token(tokens: Path) -> str:
    return tokens.read_text().strip().partition(":")[2]


@pytest.fixture
def codec(tmp_path: Path) -> Encryption:
    key_files.make_keys(tmp_path / "keys")
    return Encryption(KeyRing(tmp_path / "keys"), "shop")


@pytest.fixture
async def browser(codec: Encryption, tokens: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(codec, "shop", FileOfTokens(tokens), UI)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://codec.test") as client:
        yield client


@pytest.fixture
async def body(codec: Encryption) -> dict[str, Any]:
    encrypted = await codec.encode([CLEAR])
    return MessageToDict(Payloads(payloads=[*encrypted, CLEAR]))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "X-Namespace": "shop"}


async def test_who_has_a_token_reads_and_is_logged(browser: httpx.AsyncClient, body: Any, token: str) -> None:
    """What is in clear already comes back as it is; the log has the name, and nothing of what was read."""
    with capture_logs() as lines:
        answer = await browser.post("/decode", json=body, headers={**bearer(token), "Origin": UI})
    assert answer.status_code == 200, answer.text
    assert answer.json() == MessageToDict(Payloads(payloads=[CLEAR, CLEAR]))
    assert answer.headers["access-control-allow-origin"] == UI
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["cache-control"] == "no-store"
    assert lines == [{"event": "payloads_decrypted", "log_level": "info", "by": "alice", "payloads": 2}]


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer wrong", "Basic {token}", "Bearer {token}x", "Bearer é"])
async def test_nobody_else_reads(browser: httpx.AsyncClient, body: Any, token: str, given: str) -> None:
    """Without a token, with a wrong one, with the right one said wrongly."""
    header = {b"Authorization": given.format(token=token).encode()} if given else {}
    answer = await browser.post("/decode", json=body, headers=header)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "Zoe" not in answer.text


async def test_a_token_that_was_taken_away_counts_no_more(
    browser: httpx.AsyncClient, body: Any, token: str, tokens: Path
) -> None:
    """At the next request; a file that cannot be used stops everybody."""
    _write(tokens, f"bob:{'b' * 40}\n")
    assert (await browser.post("/decode", json=body, headers=bearer(token))).status_code == 401
    assert (await browser.post("/decode", json=body, headers=bearer("b" * 40))).status_code == 200
    _write(tokens, "", mode=0o644)
    assert (await browser.post("/decode", json=body, headers=bearer("b" * 40))).status_code == 503


def _write(file: Path, text: str, mode: int = 0o600) -> None:
    file.write_text(text)
    file.chmod(mode)


@pytest.mark.parametrize("origin", ["null", "http://127.0.0.1:8234", "https://127.0.0.1:8233", f"{UI}.evil.example"])
async def test_another_page_is_refused(browser: httpx.AsyncClient, body: Any, token: str, origin: str) -> None:
    """Also one of the same host; its scripts are told by the browser that they may not even ask."""
    answer = await browser.post("/decode", json=body, headers={**bearer(token), "Origin": origin})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert (await browser.options("/decode", headers=asked)).status_code == 400
    assert (await browser.options("/decode", headers=asked | {"Origin": UI})).status_code == 200


async def test_a_cookie_does_what_the_header_does(browser: httpx.AsyncClient, body: Any, token: str) -> None:
    """For a Web UI without a login: no script can read it, and no other site can have it sent."""
    form = await browser.get("/sign-in")
    assert 'type="password"' in form.text
    assert form.headers["referrer-policy"] == "same-origin"  # or a browser sends `Origin: null` with the form
    assert form.headers["content-security-policy"].endswith(f"form-action 'self' {UI}")  # which the answer leads to
    refused = await browser.post("/sign-in", data={"token": "wrong"})
    assert (refused.status_code, "set-cookie" in refused.headers) == (401, False)
    foreign = await browser.post("/sign-in", data={"token": token}, headers={"Origin": "http://evil.example"})
    assert (foreign.status_code, "set-cookie" in foreign.headers) == (403, False)
    answer = await browser.post("/sign-in", data={"token": token}, headers={"Origin": "http://codec.test"})
    assert (answer.status_code, answer.headers["location"]) == (303, UI)
    assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
    assert (await browser.post("/decode", json=body, headers={"Origin": UI})).status_code == 200


async def test_only_its_own_namespace(browser: httpx.AsyncClient, body: Any, token: str) -> None:
    """The Web UI says which one it shows."""
    headers = bearer(token) | {"X-Namespace": "another"}
    assert (await browser.post("/decode", json=body, headers=headers)).status_code == 403


async def test_what_it_cannot_decrypt_is_said(browser: httpx.AsyncClient, codec: Encryption, token: str) -> None:
    """With a code, and not as a failure of its own."""
    [sealed] = await codec.encode([CLEAR])
    sealed.metadata["encryption-key-id"] = b"gone"
    body = MessageToDict(Payloads(payloads=[sealed]))
    answer = await browser.post("/decode", json=body, headers=bearer(token))
    assert (answer.status_code, "no key 'gone'" in answer.json()["message"]) == (422, True)


@pytest.mark.parametrize("sent", [b"", b"[1]", b"{", b"\xff", b'{"payloads": 1}', b'{"payloads": [{"text": "x"}]}'])
async def test_what_is_no_list_of_payloads_is_refused(browser: httpx.AsyncClient, token: str, sent: bytes) -> None:
    """With 400, whatever it is."""
    assert (await browser.post("/decode", content=sent, headers=bearer(token))).status_code == 400


async def test_nests_and_sizes_are_bounded(browser: httpx.AsyncClient, token: str) -> None:
    """A mebibyte; of a larger body the rest is not read."""
    deep = "[" * 100_000
    assert (await browser.post("/decode", content=deep, headers=bearer(token))).status_code == 400
    large = json.dumps({"payloads": [{"data": "A" * LARGEST}]})
    assert (await browser.post("/decode", content=large, headers=bearer(token))).status_code == 413


async def test_it_decrypts_and_nothing_else(browser: httpx.AsyncClient, body: Any, token: str) -> None:
    """There is no way to have something encrypted, and no page but its own."""
    for path in ("/encode", "/", "/docs"):
        assert (await browser.post(path, json=body, headers=bearer(token))).status_code == 404
    assert (await browser.get("/decode", headers=bearer(token))).status_code == 405
    assert (await browser.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names nobody"),
        ("alice:short\n", "line 1"),
        (f"a b:{'x' * 40}\n", "line 1"),
        (f"a:{'x' * 40}\n" * 2, "2"),
    ],
)
def test_a_file_that_holds_no_tokens_is_refused(tokens: Path, text: str, problem: str) -> None:
    """With its line, and without quoting it."""
    tokens.write_text(text)
    with pytest.raises(KeysUnusable, match=problem) as refused:
        read_tokens(tokens)
    assert "short" not in str(refused.value) and "xxx" not in str(refused.value)


async def test_a_token_of_the_issuer_reads_with_its_scope(
    codec: Encryption, tokens: Path, token: str, body: Any, tmp_path: Path
) -> None:
    """No role has it; without the issuer's keys the tokens of the file still count."""
    key, jwks = new_key(), tmp_path / "jwks.json"
    jwks.write_text(json.dumps(key.public))
    for file, wanted in ((jwks, [200, 401, 401, 200]), (tmp_path / "none.json", [401, 401, 401, 200])):
        readers = Readers(tokens, Tokens(Keys(FileOfKeys(file)), DEVELOPMENT_ISSUER, "ordersaga"))
        app = create_app(codec, "shop", readers, UI)
        scoped = [key.token([], scope="openid codec:decode"), key.token(Role), new_key().token([], scope=DECODE)]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://codec.test") as client:
            asked = [await client.post("/decode", json=body, headers=bearer(one)) for one in (*scoped, token)]
        assert [answer.status_code for answer in asked] == wanted
