"""What a request costs the API in CPU, measured on the API's own thread, behind uvicorn and a real socket."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple

import uvicorn

from adapters.settings import Settings
from api.app import create_app
from api.http.connection import BoundedProtocol
from devstack.audit.bad_requests import BadRequest
from devstack.stack.ports import LOOPBACK
from domain.errors import Unauthenticated, Unavailable
from domain.identities import Kind, Principal, Role

ASKED_AGAIN = 5  # times; the cheapest one counts: the others were disturbed
SUSPECTS = 40  # of the dearest requests
WARMING = 200  # requests
HEALTH_EVERY = 20  # requests
TAKEN = 503
"""What the API behind the rules answers here: such a request was not refused by any."""


class Cost(NamedTuple):
    """CPU seconds of one request."""

    seconds: float
    status: int
    request: BadRequest


class _Everybody:
    """Who has the token below is the shop and its operators; nobody else is anybody."""

    async def principal(self, credential: str) -> Principal:
        if credential != "audit":
            raise Unauthenticated("invalid_token", "the token proves nothing")
        return Principal("audit", "audit", Kind.SERVICE, frozenset(Role))


class _NothingBehind:
    """Services that are not there: what gets through all rules is answered 503, and costs no database."""

    def __init__(self, settings: Settings) -> None:
        self.identities, self.settings = _Everybody(), settings

    def __getattr__(self, name: str) -> Any:
        raise Unavailable("nothing_behind", "this request was taken")


class Meter:
    """Sends requests one after the other, and reads the clock of the API's thread."""

    def __init__(self, port: int, clock: int) -> None:
        self._port, self._clock = port, clock
        self._connection: http.client.HTTPConnection | None = None

    def cost(self, request: BadRequest) -> Cost:
        began = time.clock_gettime(self._clock)
        status = self._send(request)
        return Cost(time.clock_gettime(self._clock) - began, status, request)

    def close(self) -> None:
        """Ends the connection that is kept between two requests."""
        if self._connection is not None:
            self._connection.close()

    def _send(self, request: BadRequest) -> int:
        usual = {"Host": LOOPBACK, "Authorization": "Bearer audit", "Content-Type": "application/json"}
        headers = {**usual, **request.headers}
        if request.body:
            headers["Content-Length"] = str(len(request.body))
        connection = self._connection or http.client.HTTPConnection(LOOPBACK, self._port, timeout=60)
        self._connection = None
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(request.body or None)
        answer = connection.getresponse()
        answer.read()
        if answer.will_close:
            connection.close()
        else:
            self._connection = connection
        return answer.status


@contextmanager
def metered() -> Iterator[Meter]:
    """An API without anything behind it, in a thread of its own."""
    settings = Settings(identity_jwks="none")
    app = create_app(settings)
    app.state.services = _NothingBehind(settings)
    config = uvicorn.Config(
        app, host=LOOPBACK, port=0, http=BoundedProtocol, lifespan="off", log_level="critical", access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="api")
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    assert thread.ident is not None
    meter = Meter(port, time.pthread_getcpuclockid(thread.ident))
    try:
        yield meter
    finally:
        meter.close()
        server.should_exit = True
        thread.join()


def measured(requests: Sequence[BadRequest]) -> tuple[float, list[Cost]]:
    """What `/healthz` costs, and what the requests cost, the dearest first; those are asked again to be sure."""
    health = BadRequest("GET", "/healthz")
    with metered() as meter:
        for request in requests[:WARMING]:
            meter.cost(request)
        good, costs = [], []
        for number, request in enumerate(requests):
            costs.append(meter.cost(request))
            if number % HEALTH_EVERY == 0:  # in between, so that both are measured on the same machine
                good.append(meter.cost(health).seconds)
        costs.sort(key=_seconds, reverse=True)
        sure = [_surely(meter, cost) for cost in costs[:SUSPECTS]]
    return median(good), sorted(sure + costs[SUSPECTS:], key=_seconds, reverse=True)


def _surely(meter: Meter, first: Cost) -> Cost:
    return min(first, *(meter.cost(first.request) for _ in range(ASKED_AGAIN)), key=_seconds)


def _seconds(cost: Cost) -> float:
    return cost.seconds
