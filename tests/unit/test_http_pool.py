"""What the clients of Stripe and of the carrier send with: it adds nothing to a request, and hides no failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import certifi
import pytest

from adapters.carrier.gateway import CarrierGateway
from adapters.http_pool import HttpPool, proxy_of_environment
from adapters.settings import Settings
from adapters.stripe.connection import StripeConnection
from adapters.stripe.payments import StripeGateway
from devstack.stack.ports import LOOPBACK
from domain.errors import TryAgain

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
SHORTENED = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{"


class FarEnd:
    """Answers each request with the next of its answers, the last one again and again; None closes the connection."""

    def __init__(self, *answers: bytes | None) -> None:
        self._answers, self.requests = list(answers), list[str]()
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FarEnd]:
        server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.url = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head.decode())
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if answer == SHORTENED:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def pool() -> AsyncIterator[HttpPool]:
    opened = HttpPool(certifi.where())
    try:
        yield opened
    finally:
        await opened.aclose()


async def test_it_follows_no_redirect() -> None:
    """A far end that moved is a mistake to be mended: a POST that follows would become a GET, with our key."""
    moved = FarEnd(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
    async with moved.serving() as far_end, pool() as http:
        answer = await http.request("POST", f"{far_end.url}/here", {}, b"", 5)
    assert answer.status == 302
    assert len(far_end.requests) == 1


async def test_it_keeps_connections_and_no_cookies() -> None:
    sweet = FarEnd(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}")
    async with sweet.serving() as far_end, pool() as http:
        for _ in range(2):
            assert (await http.request("GET", far_end.url, {"X-Own": "x"}, None, 5)).body == b"{}"
    assert len(far_end.requests) == 2
    assert "x" in far_end.requests[1]
    assert "ookie" not in far_end.requests[1]


async def test_it_sends_the_address_as_it_is() -> None:
    """The SDK has encoded it already."""
    async with FarEnd(OK).serving() as far_end, pool() as http:
        await http.request("GET", f"{far_end.url}/v1/x?expand[0]=a&query=b%27c%2Bd", {}, None, 5)
    assert far_end.requests[0].startswith("GET /v1/x?expand[0]=a&query=b%27c%2Bd HTTP/1.1")


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_it_sends_nothing_twice(method: str) -> None:
    """Also when the far end closes a connection that was used before: nobody knows what became of the request."""
    async with FarEnd(OK, None).serving() as far_end, pool() as http:
        await http.request(method, far_end.url, {}, None, 5)
        with pytest.raises(aiohttp.ClientError):
            await http.request(method, far_end.url, {}, None, 5)
    assert len(far_end.requests) == 2


async def test_it_opens_a_new_connection_after_a_failure() -> None:
    async with FarEnd(None, OK).serving() as far_end, pool() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.request("POST", far_end.url, {}, b"", 5)
        assert (await http.request("POST", far_end.url, {}, b"", 5)).status == 200


async def _ask_stripe(url: str) -> None:
    connection = StripeConnection(Settings(stripe_api_key="sk_test_1", stripe_api_base=url, stripe_timeout=5))
    try:
        await StripeGateway(connection).confirm("pi_1", {}, "k")
    finally:
        await connection.aclose()


async def _ask_carrier(url: str) -> None:
    gateway = CarrierGateway(Settings(carrier_api_base=url, carrier_timeout=5))
    try:
        await gateway.void("shp_1")
    finally:
        await gateway.aclose()


@pytest.mark.parametrize("ask", [_ask_stripe, _ask_carrier], ids=["stripe", "carrier"])
@pytest.mark.parametrize("answer", [SHORTENED, None, b"SMTP 220\r\n\r\n"], ids=["shortened", "none", "no HTTP"])
async def test_an_answer_that_is_not_whole_says_nothing_about_the_call(
    ask: Callable[[str], Awaitable[None]], answer: bytes | None
) -> None:
    """It may have taken effect, so that it is asked again, under the same key."""
    async with FarEnd(answer).serving() as far_end:
        with pytest.raises(TryAgain):
            await ask(far_end.url)
    assert len(far_end.requests) == 1


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"ALL_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "api.stripe.com"}, None),
    ],
    ids=repr,
)
def test_it_uses_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], proxy: str | None
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of_environment("https://api.stripe.com") == proxy
