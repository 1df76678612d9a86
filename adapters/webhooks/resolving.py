"""The addresses of merchants' hosts: asked for once for each connection, judged, and connected to as they were found.

A name whose owner answers differently the second time (DNS rebinding) gains nothing: there is no second question.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

from domain.webhook_targets import is_public

THREADS = 64  # a host takes one of them, however slowly its name servers answer

AddressInfo = tuple[int, int, int, str, tuple[object, ...]]
"""As of `socket.getaddrinfo`."""

LookUp = Callable[[str, int], Sequence[AddressInfo]]


class NotPublic(OSError):
    """The host has an address that is none of the internet."""


def look_up(host: str, port: int) -> Sequence[AddressInfo]:
    """What the system's resolver says. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, kind, protocol, name, tuple(address)) for family, kind, protocol, name, address in found]


class Gate:
    """Lets connections through to addresses of the internet; in development (`private`) to any."""

    def __init__(self, *, private: bool) -> None:
        self._private = private

    def check(self, address: object) -> None:
        """Raises NotPublic."""
        if not (self._private or is_public(str(address))):
            raise NotPublic("an address that is not public")

    def socket(self, info: AddressInfo) -> socket.socket:
        """The socket for one address: every connection comes by here, whoever has resolved its name."""
        family, kind, protocol, _, address = info
        self.check(address[0])
        return socket.socket(family, kind, protocol)


class Resolver(AbstractResolver):
    """Resolves names in threads of its own; who asks for a host that is being asked for waits for the same answer."""

    def __init__(self, gate: Gate, look_up: LookUp = look_up) -> None:
        self._gate, self._look_up = gate, look_up
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook-names")
        self._asked: dict[tuple[str, int], asyncio.Future[Sequence[AddressInfo]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises NotPublic where any of the addresses is none of the internet, and OSError."""
        key = (host, port)
        if (asked := self._asked.get(key)) is None:
            loop = asyncio.get_running_loop()
            asked = self._asked[key] = loop.run_in_executor(self._threads, self._look_up, host, port)
            asked.add_done_callback(lambda done: self._forget(key, done))
        found = await asyncio.shield(asked)
        for info in found:
            self._gate.check(info[4][0])
        return [_result(host, port, info) for info in found]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget(self, key: tuple[str, int], done: asyncio.Future[Sequence[AddressInfo]]) -> None:
        self._asked.pop(key, None)
        if not done.cancelled():
            done.exception()  # who asked may have gone


def _result(host: str, port: int, info: AddressInfo) -> ResolveResult:
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(
        hostname=host, host=str(info[4][0]), port=port, family=info[0], proto=info[2], flags=int(flags)
    )
