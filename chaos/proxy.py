"""A TCP proxy between two parts: forwards, and on request resets, refuses, slows, stalls or swallows connections."""

import asyncio
import socket
import struct
from contextlib import suppress
from types import TracebackType
from typing import Self

from devstack.stack.ports import LOOPBACK, free_port

CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)  # a zero linger time makes the kernel send RST instead of FIN


class Proxy:
    """Listens on `port` inside `async with` and forwards to `target`, a loopback port that may be set later."""

    def __init__(self, target: int | None = None) -> None:
        self.target = target
        self.port = free_port()
        self.refusing = False
        self.delay = 0.0  # seconds that every chunk waits, in both directions
        self.swallowing = False
        self._swallowed: set[asyncio.StreamWriter] = set()  # ends of connections that nothing comes out of any more
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._live: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.refusing = True  # a connection that was being accepted would not be among those that end here
        self.drop()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many are open now, from the caller's side."""
        return len(self._live) // 2

    def carries(self, port: int) -> bool:
        """Whether the far end knows one of the open connections by this port."""
        return any(writer.get_extra_info("sockname", (None, None))[1] == port for writer in self._live)

    def drop(self) -> None:
        """Resets every open connection, on both sides."""
        for writer in self._live:
            _reset(writer)

    def stall(self) -> None:
        """Holds every byte back, on connections that stay open, until `flow`."""
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    def swallow(self) -> None:
        """Loses every byte, on connections that stay open, and of new ones too, until `heal`; no FIN or RST passes.

        A connection that has lost a byte is dead for good, as after a firewall that forgot it: neither end is told.
        """
        self.swallowing = True
        self._swallowed |= self._live

    def heal(self) -> None:
        """As on a good day; connections that were swallowed stay dead."""
        self.refusing, self.delay, self.swallowing = False, 0.0, False
        self.flow()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            if self.refusing or self.target is None:
                return _reset(writer)
            await self._forward(reader, writer, self.target)
        except (OSError, asyncio.CancelledError):
            _reset(writer)  # as if the caller had met the dead part itself
        finally:
            self._serving.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, target)
        ends = {writer, far_writer}
        self._live |= ends
        if self.swallowing:
            self._swallowed |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer))
                group.create_task(self._pump(far_reader, writer))
        finally:
            self._live -= ends
            self._swallowed -= ends
            for end in ends:
                end.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flows.wait()
                if sink.is_closing():
                    return
                if sink in self._swallowed:
                    continue
                sink.write(data)
                await sink.drain()
            if not sink.is_closing() and sink not in self._swallowed:
                sink.write_eof()
            if sink not in self._swallowed:
                return
        await self._tell_of_end(sink)

    async def _tell_of_end(self, sink: asyncio.StreamWriter) -> None:
        """A reset passes on, unless the connection was swallowed: then the other end learns of nothing."""
        if sink in self._swallowed:
            await asyncio.Event().wait()
        _reset(sink)


def _reset(writer: asyncio.StreamWriter) -> None:
    end: socket.socket | None = writer.get_extra_info("socket")
    if end is not None and not writer.is_closing():
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
