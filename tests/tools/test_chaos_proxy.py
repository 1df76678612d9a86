"""The proxy between two parts: it forwards, and it can be told to misbehave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chaos.proxy import Proxy
from devstack.stack.ports import LOOPBACK, free_port
from tests.support.waiting import until

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def _echoing_behind_a_proxy() -> AsyncIterator[Proxy]:
    port = free_port()
    async with await asyncio.start_server(_echo, LOOPBACK, port), Proxy(port) as proxy:
        yield proxy


@asynccontextmanager
async def _connected(proxy: Proxy) -> AsyncIterator[Ends]:
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _said(ends: Ends, words: bytes) -> bytes:
    ends[1].write(words)
    return await asyncio.wait_for(ends[0].readexactly(len(words)), 60)


async def test_forwards_in_both_directions_to_the_last_byte() -> None:
    """More than one chunk goes there and comes back; the end of one side reaches the other."""
    async with _echoing_behind_a_proxy() as proxy, _connected(proxy) as (reader, writer):
        sent = bytes(range(256)) * 2000
        writer.write(sent)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(-1), 60) == sent


async def test_drops_live_connections_and_takes_new_ones() -> None:
    """A dropped connection is reset, not ended politely; the next one is served."""
    async with _echoing_behind_a_proxy() as proxy, _connected(proxy) as ends:
        assert await _said(ends, b"before") == b"before"
        assert proxy.connections == 1
        proxy.drop()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(ends[0].readexactly(1), 60)
        async with _connected(proxy) as others:
            assert await _said(others, b"after") == b"after"


async def test_refuses_new_connections_until_it_is_healed() -> None:
    """A refused caller sees its connection reset; the live one goes on."""
    async with _echoing_behind_a_proxy() as proxy, _connected(proxy) as ends:
        assert await _said(ends, b"before") == b"before"
        proxy.refusing = True
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with _connected(proxy) as refused:
                await _said(refused, b"anybody?")
        assert await _said(ends, b"still") == b"still"
        proxy.heal()
        async with _connected(proxy) as others:
            assert await _said(others, b"again") == b"again"


async def test_a_dead_part_looks_dead_through_the_proxy() -> None:
    """Where nobody listens behind it, a caller is turned away."""
    async with Proxy(free_port()) as proxy:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with _connected(proxy) as ends:
                await _said(ends, b"anybody?")


async def test_holds_bytes_back_while_it_stalls() -> None:
    """Nothing arrives, nothing is lost, and the connection stays open."""
    async with _echoing_behind_a_proxy() as proxy, _connected(proxy) as (reader, writer):
        proxy.stall()
        writer.write(b"late")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(4), 0.05)
        proxy.flow()
        assert await asyncio.wait_for(reader.readexactly(4), 60) == b"late"


async def test_every_chunk_of_a_slow_link_is_late() -> None:
    """The delay counts on the way there and on the way back."""
    async with _echoing_behind_a_proxy() as proxy, _connected(proxy) as ends:
        proxy.delay = 0.05
        began = time.monotonic()
        assert await _said(ends, b"slow") == b"slow"
        assert time.monotonic() - began > 0.095  # uvloop counts in milliseconds


async def test_forgets_connections_that_ended() -> None:
    """Nothing of a closed connection is left."""
    async with _echoing_behind_a_proxy() as proxy:
        async with _connected(proxy) as ends:
            await _said(ends, b"one")

        async def left() -> int:
            return proxy.connections

        await until(left, 0)


async def test_swallows_without_telling_either_end() -> None:
    """No byte and no end gets through, also on a new connection; once healed the old ones stay dead."""
    async with _echoing_behind_a_proxy() as proxy, _connected(proxy) as old:
        assert await _said(old, b"before") == b"before"
        proxy.swallow()
        async with _connected(proxy) as new:
            for ends in (old, new):
                ends[1].write(b"lost")
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(ends[0].read(1), 0.1)
        proxy.heal()
        old[1].write(b"still lost")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(old[0].read(1), 0.1)
        async with _connected(proxy) as fresh:
            assert await _said(fresh, b"after") == b"after"
