"""The far ends as real processes, for any test that needs one: start, stop, kill, start again on the same data."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import stripe

from devstack.stack.ports import free_port
from tests.support.stripe_contract import exempt

PROJECT = Path(__file__).resolve().parents[2]
STRIPE_KEY = "sk_test_simulated"
STRIPE_SECRET = "whsec_simulated"
CARRIER_KEY = "EZTK_simulated"
CARRIER_SECRET = "carrier secret"

SDK_WARNING = "ignore:Use 'content=<:DeprecationWarning"
"""The SDK sends its forms by an argument that httpx deprecates; with warnings as errors every call would fail."""

Process = TypeVar("Process", bound="SimulatorProcess")


class SimulatorProcess:
    """A simulator on a fixed loopback port with its data in one file, so that it can be killed and started again."""

    def __init__(self, far_end: str, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.data = folder / f"{far_end}_{self.port}.db"
        self.base_url = f"http://127.0.0.1:{self.port}"
        own = ["--port", str(self.port), "--data", str(self.data)]
        self._command = [sys.executable, "-m", f"devstack.{far_end}.simulator", *own, *options]
        self._process: subprocess.Popen[bytes] | None = None
        self.http = httpx.AsyncClient(base_url=self.base_url, timeout=60, trust_env=False)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start and wait until it answers."""
        began = time.monotonic()
        process = self._spawn()
        while time.monotonic() - began < 60:
            if process.poll() is not None:
                raise RuntimeError(f"the simulator ended with {process.returncode}")
            try:
                await self.http.get("/_control/health")
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                return
        raise TimeoutError("the simulator did not answer")

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(self._command, cwd=PROJECT)
        return self._process

    def stop(self) -> float:
        """SIGTERM and wait; gives the seconds that took."""
        began = time.monotonic()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
        return time.monotonic() - began

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)

    async def control(self, path: str, **body: Any) -> Any:
        """POST to a control endpoint; a refusal is an error of the test."""
        answer = await self.http.post(f"/_control/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def view(self, path: str, **query: str) -> Any:
        """GET a control endpoint."""
        answer = await self.http.get(f"/_control/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def all_webhooks_sent(self, seconds: float = 60.0) -> None:
        """Wait until the queue of webhooks is empty."""
        async with asyncio.timeout(seconds):
            pending = 1
            while pending:
                pending = (await self.view("webhooks"))["pending"]
                await asyncio.sleep(0.01)

    async def clear_faults(self) -> None:
        await self.http.delete("/_control/faults")

    async def aclose(self) -> None:
        await self.http.aclose()
        self.stop()


class StripeProcess(SimulatorProcess):
    """The Stripe simulator with the real SDK pointed at it."""

    def __init__(self, folder: Path, *options: str) -> None:
        secrets = ("--api-key", STRIPE_KEY, "--webhook-secret", STRIPE_SECRET)
        super().__init__("stripe", folder, *secrets, *options)
        self._transport = stripe.HTTPXClient(timeout=60)
        self.client = self.client_with(STRIPE_KEY)

    def client_with(self, key: str) -> stripe.StripeClient:
        client = stripe.StripeClient(
            key, base_addresses={"api": self.base_url}, http_client=self._transport, max_network_retries=0
        )
        return exempt(client)

    async def create(self, key: str | None = None, **params: Any) -> stripe.PaymentIntent:
        """A manual-capture intent of 10.00 USD for a good card, unless told otherwise."""
        usual: dict[str, Any] = {
            "amount": 1000,
            "currency": "usd",
            "capture_method": "manual",
            "payment_method": "pm_card_visa",
        }
        if "automatic_payment_methods" not in params:
            usual["allowed_payment_method_types"] = ["card"]
        wanted: Any = {name: value for name, value in {**usual, **params}.items() if value is not None}
        return await self.client.v1.payment_intents.create_async(wanted, {"idempotency_key": key} if key else None)

    async def authorized(self, order_id: str, **params: Any) -> stripe.PaymentIntent:
        return await self.create(confirm=True, metadata={"order_id": order_id}, **params)

    async def ledger_kinds(self, order_id: str) -> list[tuple[str, int]]:
        return [(entry["kind"], entry["amount"]) for entry in await self.view("ledger", order_id=order_id)]

    async def aclose(self) -> None:
        await self._transport.close_async()  # type: ignore[no-untyped-call]
        await super().aclose()


class CarrierProcess(SimulatorProcess):
    """The carrier simulator; `api` carries the key as EasyPost wants it."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__("carrier", folder, "--api-key", CARRIER_KEY, "--webhook-secret", CARRIER_SECRET, *options)
        self.api = httpx.AsyncClient(
            base_url=f"{self.base_url}/v2", auth=(CARRIER_KEY, ""), timeout=60, trust_env=False
        )

    async def created(self, reference: str, **address: str) -> dict[str, Any]:
        to_address = {"name": "Ada", "street1": "1 Main St", "city": "Springfield", "zip": "12345", **address}
        from_address = {"street1": "2 Store St", "city": "Springfield", "zip": "12346", "country": "US"}
        addresses = {"to_address": to_address, "from_address": from_address}
        shipment = {"reference": reference, **addresses, "parcel": {"weight": 12}}
        answer = await self.api.post("/shipments", json={"shipment": shipment})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def buy(self, shipment: dict[str, Any]) -> httpx.Response:
        rate = {"rate": {"id": shipment["rates"][0]["id"]}}
        return await self.api.post(f"/shipments/{shipment['id']}/buy", json=rate)

    async def bought(self, reference: str) -> dict[str, Any]:
        answer = await self.buy(await self.created(reference))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def get(self, shipment_id: str) -> dict[str, Any]:
        return dict((await self.api.get(f"/shipments/{shipment_id}")).json())

    async def aclose(self) -> None:
        await self.api.aclose()
        await super().aclose()


@asynccontextmanager
async def running(process: Process) -> AsyncIterator[Process]:
    """Start the simulator; whatever happens, stop it."""
    try:
        await process.start()
        yield process
    finally:
        await process.aclose()


@dataclass
class Delivery:
    headers: dict[str, str]
    body: bytes


@dataclass
class WebhookReceiver:
    """A webhook endpoint that records what it gets and answers what it is told (202 when it was told nothing)."""

    port: int = field(default_factory=free_port)
    answers: list[int] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[1:]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.deliveries.append(Delivery(headers, body))
        status = self.answers.pop(0) if self.answers else 202
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        self._arrived.set()

    async def wait_for(self, count: int, seconds: float = 60.0) -> list[Delivery]:
        """The deliveries, as soon as there are so many."""
        async with asyncio.timeout(seconds):
            while len(self.deliveries) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.deliveries
