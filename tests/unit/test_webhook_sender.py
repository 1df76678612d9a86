"""The client that speaks to strangers' addresses: where it connects to, what it follows, how long it listens."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.webhooks import sender as module
from adapters.webhooks.resolving import AddressInfo, LookUp, look_up
from adapters.webhooks.sender import WebhookSender
from devstack.stack.ports import LOOPBACK, free_port
from domain.cloud_events import CONTENT_TYPE
from domain.merchant_webhooks import Attempt
from tests.support.receiver import Receiver, receiving

NAME = "shop.example.com"
PUBLIC = "93.184.215.14"


class Names:
    """Answers for every name with these addresses, and counts the questions."""

    def __init__(self, *addresses: str) -> None:
        self.addresses, self.asked = addresses, list[str]()

    def __call__(self, host: str, port: int) -> Sequence[AddressInfo]:
        self.asked.append(host)
        return [info for address in self.addresses for info in look_up(address, port)]


@asynccontextmanager
async def sending(
    *, private: bool = True, timeout: float = 20, look_up: LookUp = look_up, authorities: Path | None = None
) -> AsyncIterator[WebhookSender]:
    trusted = None if authorities is None else str(authorities)
    sender = WebhookSender(timeout=timeout, private=private, authorities=trusted, look_up=look_up)
    try:
        yield sender
    finally:
        await sender.aclose()


async def post(sender: WebhookSender, url: str) -> Attempt:
    return await sender.send(url, {"webhook-id": "1"}, b'{"a": 1}')


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def test_an_answer_is_told_with_its_beginning(receiver: Receiver) -> None:
    """Its status, how long it took, its first words, and its wish."""
    receiver.answer = lambda got: web.Response(
        status=429, text="slow\ndown" + "." * 9999, headers={"Retry-After": "7"}
    )
    async with sending() as sender:
        attempt = await post(sender, receiver.url)
    assert (attempt.status, attempt.error, attempt.retry_after) == (429, None, timedelta(seconds=7))
    assert attempt.answer.startswith("slow down...") and len(attempt.answer) == 500
    assert 0 < attempt.seconds < 20
    (got,) = receiver.got
    assert (got.body, got.headers["webhook-id"], got.headers["content-type"]) == (b'{"a": 1}', "1", CONTENT_TYPE)


async def test_a_redirect_is_an_answer_and_not_followed(receiver: Receiver) -> None:
    """Where it points to was never judged."""
    receiver.answer = lambda got: web.Response(status=307, headers={"Location": "/elsewhere"})
    async with sending() as sender:
        assert (await post(sender, receiver.url)).status == 307
    assert [got.path for got in receiver.got] == ["/hook"]


@pytest.mark.parametrize("host", [LOOPBACK, NAME, "localhost", "2130706433"])
async def test_nothing_reaches_a_private_address(receiver: Receiver, host: str) -> None:
    """Neither by address, nor by a name of which one address is private, nor in another spelling."""
    url = receiver.url.replace(LOOPBACK, host)
    async with sending(private=False, look_up=Names(PUBLIC, LOOPBACK)) as sender:
        attempt = await post(sender, url)
    assert attempt.status is None
    assert attempt.error == ("bad_url" if host == "2130706433" else "address_not_public")
    assert receiver.got == []


async def test_a_name_is_asked_for_once_and_its_address_connected_to(receiver: Receiver) -> None:
    """So it cannot be another one when it is used than when it was judged; the server still hears the name."""
    names = Names(LOOPBACK)
    async with sending(look_up=names) as sender:
        assert (await post(sender, receiver.url.replace(LOOPBACK, NAME))).status == 200
    assert names.asked == [NAME]
    assert receiver.got[0].headers["host"] == f"{NAME}:{urlsplit(receiver.url).port}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a merchant's name, signed by itself, with its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.OID_COMMON_NAME, NAME)])
    at = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    file = tmp_path_factory.mktemp("certificate") / "shop.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


async def test_tls_is_about_the_name_not_the_address(certificate: Path) -> None:
    """The server hears the name (SNI), and has to have a certificate of it."""
    heard: list[str | None] = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    server.sni_callback = lambda connection, name, context: heard.append(name)
    async with receiving(server) as receiver:
        async with sending(look_up=Names(LOOPBACK), authorities=certificate) as sender:
            assert (await post(sender, receiver.url.replace(LOOPBACK, NAME))).status == 200
            assert (await post(sender, receiver.url.replace(LOOPBACK, "other.example.com"))).error == "tls"
        async with sending(look_up=Names(LOOPBACK)) as sender:
            assert (await post(sender, receiver.url.replace(LOOPBACK, NAME))).error == "tls"
    assert heard == [NAME, "other.example.com", NAME]


async def test_who_does_not_answer_is_left(receiver: Receiver) -> None:
    """In the time that is set for a whole try."""
    receiver.open.clear()
    async with sending(timeout=0.1) as sender:
        assert (await post(sender, receiver.url)).error == "timeout"


async def test_a_status_counts_although_the_answer_never_ends(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint has taken it; nobody waits for the rest."""
    monkeypatch.setattr(module, "ANSWER_PATIENCE", 0.1)

    class Endless(web.Response):
        def __init__(self) -> None:
            super().__init__(headers={"Content-Length": "1000"})

    receiver.answer = lambda got: Endless()
    async with sending() as sender:
        attempt = await post(sender, receiver.url)
    assert (attempt.status, attempt.error) == (200, None)


async def test_failures_have_names(receiver: Receiver) -> None:
    """Which the log of deliveries shows."""
    receiver.answer = lambda got: None

    def nowhere(host: str, port: int) -> Sequence[AddressInfo]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async with sending(look_up=nowhere) as sender:
        assert (await post(sender, receiver.url)).error == "closed"
        assert (await post(sender, f"http://{LOOPBACK}:{free_port()}/")).error == "not_connected"
        assert (await post(sender, f"http://{NAME}/")).error == "name_not_found"


async def test_slow_name_servers_of_one_host_keep_nobody_else_waiting(receiver: Receiver) -> None:
    """A host that is being asked for takes one thread, however many deliveries wait for it."""
    released, asked = time.monotonic() + 0.5, list[str]()

    def slow(host: str, port: int) -> Sequence[AddressInfo]:
        asked.append(host)
        while host == NAME and time.monotonic() < released:
            time.sleep(0.01)
        return look_up(LOOPBACK, port)

    async with sending(look_up=slow, timeout=0.1) as sender:
        for _ in range(3):
            assert (await post(sender, receiver.url.replace(LOOPBACK, NAME))).error == "timeout"
        assert (await post(sender, receiver.url.replace(LOOPBACK, "fast.example.com"))).status == 200
    assert asked == [NAME, "fast.example.com"]
