"""Far ends that say nothing, or drip: every client of ours gives up in its own time, and works again afterwards."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from temporalio.service import RPCError, RPCStatusCode

from adapters.carrier.gateway import CarrierGateway
from adapters.settings import Settings
from adapters.stripe.connection import StripeConnection
from adapters.stripe.payments import StripeGateway
from adapters.temporal import client as temporal
from adapters.temporal import deadlines as temporal_deadlines
from chaos.proxy import Proxy
from devstack.stack.ports import LOOPBACK, free_port
from devstack.stack.stack import Stack
from domain.errors import OrderSagaError, OurMistake, TryAgain

LONGEST = 15  # seconds; the clients' own deadlines are below one
SHORT = {"stripe_timeout": 0.5, "carrier_timeout": 0.5}


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer that never ends, but never pauses for long either."""
    try:
        await reader.read(65_536)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)
    except ConnectionError:
        writer.close()


@asynccontextmanager
async def _dripping() -> AsyncIterator[int]:
    port = free_port()
    server = await asyncio.start_server(_drip, LOOPBACK, port)
    yield port
    server.close()


async def _ask_stripe(settings: Settings, port: int, between: Callable[[], None]) -> list[type]:
    there = settings.model_copy(update={"stripe_api_base": f"http://{LOOPBACK}:{port}"} | SHORT)
    connection = StripeConnection(there)
    try:
        return await _twice(lambda: StripeGateway(connection).retrieve("pi_none"), between)
    finally:
        await connection.aclose()


async def _ask_carrier(settings: Settings, port: int, between: Callable[[], None]) -> list[type]:
    gateway = CarrierGateway(settings.model_copy(update={"carrier_api_base": f"http://{LOOPBACK}:{port}"} | SHORT))
    try:
        return await _twice(lambda: gateway.retrieve("shp_none"), between)
    finally:
        await gateway.aclose()


async def _twice(ask: Callable[[], Awaitable[object]], between: Callable[[], None]) -> list[type]:
    """The errors of two calls in a row."""
    errors = []
    for _ in range(2):
        with pytest.raises(OrderSagaError) as caught:
            await ask()
        errors.append(type(caught.value))
        between()
    return errors


@pytest.mark.parametrize("ask", [_ask_stripe, _ask_carrier], ids=["stripe", "carrier"])
async def test_a_call_ends_though_its_answer_comes_in_drops(
    settings: Settings, ask: Callable[[Settings, int, Callable[[], None]], Awaitable[list[type]]]
) -> None:
    """No single read takes long, the whole of them would: each call has one deadline."""
    async with _dripping() as port, asyncio.timeout(LONGEST):
        assert await ask(settings, port, lambda: None) == [TryAgain, TryAgain]


@pytest.mark.parametrize(("ask", "name"), [(_ask_stripe, "stripe"), (_ask_carrier, "carrier")])
async def test_a_call_ends_though_every_packet_vanishes(
    stack: Stack,
    settings: Settings,
    ask: Callable[[Settings, int, Callable[[], None]], Awaitable[list[type]]],
    name: str,
) -> None:
    """And the next one, on a connection of its own, is answered: no such object."""
    async with Proxy(getattr(stack.ports, name)) as proxy, asyncio.timeout(LONGEST):
        proxy.swallow()
        first, second = await ask(settings, proxy.port, proxy.heal)
        assert first is TryAgain
        assert issubclass(second, OurMistake)


async def test_a_call_to_temporal_ends_though_a_lazy_client_cannot_connect(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there are: they do not wait for each other's connects. Afterwards the same client works."""
    monkeypatch.setattr(temporal_deadlines, "CALL", timedelta(seconds=0.5))
    monkeypatch.setattr(temporal_deadlines, "CONNECTING", timedelta(seconds=0.1))
    async with Proxy(int(settings.temporal_address.rpartition(":")[2])) as proxy:
        through = settings.model_copy(update={"temporal_address": f"{LOOPBACK}:{proxy.port}"})
        client = await temporal.connect(through, lazy=True)
        handle = client.get_workflow_handle(f"none-{secrets.token_hex(4)}")
        proxy.swallow()
        async with asyncio.timeout(LONGEST):
            calls = [handle.signal("any") if number % 2 else handle.describe() for number in range(6)]
            errors = await asyncio.gather(*calls, return_exceptions=True)
        assert [getattr(error, "status", error) for error in errors] == [RPCStatusCode.DEADLINE_EXCEEDED] * 6
        proxy.heal()
        monkeypatch.undo()
        with pytest.raises(RPCError) as caught:
            await handle.describe()
        assert caught.value.status is RPCStatusCode.NOT_FOUND
