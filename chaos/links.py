"""Every connection between two parts of a stack, each through a proxy of its own; and a second worker."""

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from chaos.proxy import Proxy
from devstack.stack.parts import Blueprint
from devstack.stack.ports import LOOPBACK, free_port
from devstack.stack.probes import http_ok
from devstack.stack.process import Part

SERVICES = ("api", "worker", "relay")  # both workers share the worker's links
FAR_ENDS = ("postgres", "temporal", "stripe", "carrier")
LINKS = (
    *(f"{service}-{far}" for service in SERVICES for far in FAR_ENDS),
    "relay-nats",
    "stripe-api",
    "carrier-api",
    "shop-api",
)
WORKERS = ("worker", "worker-2")
RELAYS = ("relay", "relay-2")
SECOND_RELAY = tuple(f"{RELAYS[1]}-{far}" for far in (*FAR_ENDS, "nats"))
"""Links of its own, which no fault takes by chance: a pause ends the sessions of one relay alone."""

BROKER_URLS = ("ORDERSAGA_BROKER_URL", "ORDERSAGA_BROKER_CONSUMER_URL")


class Links:
    """The proxies by name, listening inside `async with`; `rewire` leads the parts through them."""

    def __init__(self) -> None:
        self._proxies = {name: Proxy() for name in (*LINKS, *SECOND_RELAY)}
        self._open = AsyncExitStack()
        self._held: set[str] = set()

    async def __aenter__(self) -> Self:
        for proxy in self._proxies.values():
            await self._open.enter_async_context(proxy)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    def __getitem__(self, name: str) -> Proxy:
        return self._proxies[name]

    @property
    def shop_url(self) -> str:
        """Where the shop reaches the API."""
        return f"http://{LOOPBACK}:{self['shop-api'].port}"

    @property
    def free(self) -> list[str]:
        """Those that no long fault has."""
        return [name for name in LINKS if name not in self._held]

    @property
    def held_ones(self) -> frozenset[str]:
        """Those that a long fault has."""
        return frozenset(self._held)

    @contextmanager
    def held(self, name: str) -> Iterator[Proxy]:
        """For one long fault, which no other ends early; healed after it."""
        self._held.add(name)
        try:
            yield self[name]
        finally:
            self[name].heal()
            self._held.discard(name)

    def heal(self) -> None:
        for name in self.free:
            self[name].heal()

    def rewire(self, plan: Blueprint, parts: Sequence[Part]) -> list[Part]:
        """The same parts over the proxies, and a second worker."""
        for name, proxy in self._proxies.items():
            proxy.target = getattr(plan.ports, name.rpartition("-")[2])
        return with_second_worker([self._rewired(plan, part) for part in parts])

    def with_second_relay(self, plan: Blueprint, parts: Sequence[Part]) -> list[Part]:
        """So that one takes over when the other dies or is paused."""
        port = free_port()
        own = {"ORDERSAGA_RELAY_HEALTH_PORT": str(port)}
        first = [part for part in parts if part.name == RELAYS[0]]
        seconds = [
            replace(one, name=RELAYS[1], environment={**one.environment, **own}, ready=http_ok(port, "/readyz"))
            for one in first
        ]
        return [*parts, *(self._rewired(plan, one) for one in seconds)]

    def _rewired(self, plan: Blueprint, part: Part) -> Part:
        if part.name in (*SERVICES, RELAYS[1]):
            return replace(part, environment={**part.environment, **self._addresses(plan, part.name)})
        if part.name in ("stripe", "carrier"):
            here, there = plan.api, f"http://{LOOPBACK}:{self[f'{part.name}-api'].port}"
            return replace(part, command=[word.replace(here, there) for word in part.command])
        return part

    def _addresses(self, plan: Blueprint, service: str) -> dict[str, str]:
        ports = {far: self[f"{service}-{far}"].port for far in FAR_ENDS}
        there = plan.database_of(service.partition("-")[0])
        database = there.replace(f"{LOOPBACK}:{plan.ports.postgres}", f"{LOOPBACK}:{ports['postgres']}")
        addresses = {
            "DATABASE_URL": database,
            "TEMPORAL_ADDRESS": f"{LOOPBACK}:{ports['temporal']}",
            "ORDERSAGA_STRIPE_API_BASE": f"http://{LOOPBACK}:{ports['stripe']}",
            "ORDERSAGA_CARRIER_API_BASE": f"http://{LOOPBACK}:{ports['carrier']}",
        }
        return addresses | (self._broker(plan, service) if service in RELAYS else {})

    def _broker(self, plan: Blueprint, relay: str) -> dict[str, str]:
        """As the relay publishes, and as its consumers read."""
        there, here = (f"{LOOPBACK}:{port}" for port in (plan.ports.nats, self[f"{relay}-nats"].port))
        urls = plan.service_environment()
        return {name: urls[name].replace(there, here) for name in BROKER_URLS if name in urls}


def with_second_worker(parts: Sequence[Part]) -> list[Part]:
    """So that one can die while the other goes on."""
    no_port = {"ORDERSAGA_WORKER_HEALTH_PORT": "0"}  # the first one has it
    first = [part for part in parts if part.name == WORKERS[0]]
    return [*parts, *(replace(one, name=WORKERS[1], environment={**one.environment, **no_port}) for one in first)]
