"""Deadlines of the database that depend on the server or on the system."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.postgres import database, sockets
from adapters.postgres.database import Door, Timeouts
from adapters.settings import Settings


class Connection:
    """What the pool hands over, of a server of some version; `said` is what the server was told after the login."""

    def __init__(self, major: int) -> None:
        self.said: list[str] = []
        transport = SimpleNamespace(get_extra_info=lambda name: None)
        version = SimpleNamespace(major=major)
        self.driver_connection = SimpleNamespace(_transport=transport, get_server_version=lambda: version)

    def run_async(self, call: Callable[[Any], None]) -> None:
        call(SimpleNamespace(execute=self.said.append))


@pytest.mark.parametrize(("major", "told"), [(15, []), (16, []), (17, ["SET transaction_timeout = '30000ms'"])])
def test_tells_only_a_server_that_knows_it_of_the_transaction_timeout(major: int, told: list[str]) -> None:
    """As one of the settings of the login it would make PostgreSQL 15 and 16 refuse every connection."""
    connection = Connection(major)
    database._set_up(connection, Timeouts())
    assert connection.said == told
    assert "transaction_timeout" not in Timeouts().server_settings()


def test_the_driver_gives_up_after_the_server_should_have() -> None:
    """The server's own refusal is the better error: it comes first wherever it can come at all."""
    limits = Timeouts.of(Settings(database_statement_timeout=15.0))
    assert limits.command is not None and limits.statement is not None
    assert limits.statement < limits.command < limits.statement + 5


def test_a_system_without_an_option_does_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has no TCP_USER_TIMEOUT, Windows has no TCP_KEEPIDLE in older versions."""
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)
    known = [option for _, option, _ in sockets.options()]
    assert socket.SO_KEEPALIVE in known and 18 not in known  # the number that Linux gives TCP_USER_TIMEOUT


def test_a_socket_of_the_unix_domain_is_left_alone() -> None:
    """It has no TCP below it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as local:
        sockets.notice_silence(local)


class SlowServer:
    """Logs one connection in after another; `most` is how many were at it together."""

    def __init__(self) -> None:
        self._at_it = self.most = 0
        self.open = asyncio.Event()

    async def connect(self) -> str:
        self._at_it += 1
        self.most = max(self.most, self._at_it)
        try:
            await self.open.wait()
        finally:
            self._at_it -= 1
        return "connected"


async def test_a_herd_of_connects_passes_a_few_at_a_time() -> None:
    """After an outage all steps want one at once; each has its own time once it is its turn."""
    server = SlowServer()
    door = Door(5.0, at_once=3, connect=server.connect)
    herd = asyncio.gather(*(door.pass_through() for _ in range(20)))
    await asyncio.sleep(0)
    server.open.set()
    assert await herd == ["connected"] * 20
    assert server.most == 3


async def test_nobody_waits_at_the_door_of_a_silent_server_without_an_end() -> None:
    """Those behind the first ones hear it in time; a connect that is given up makes room."""
    server = SlowServer()
    door = Door(0.05, at_once=1, connect=server.connect)
    first = asyncio.create_task(door.pass_through())
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await door.pass_through()
    first.cancel()
    await asyncio.wait({first})
    server.open.set()
    assert await door.pass_through() == "connected"
