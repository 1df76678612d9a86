"""The processes that place orders in a run with peers, and those whose CPU is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.peers.installation import Installed
from benchmarks.peers.parts import HANDLERS, SERVER, RestatePorts
from benchmarks.processes import StationProcess
from devstack.stack.stack import Stack


def stations_of(stack: Stack, installed: Installed, ports: RestatePorts, at_once: int) -> dict[str, StationProcess]:
    """By name, not started: the usual two, and one for each other engine that is installed."""

    def station(role: str, environment: Mapping[str, str], module: str = "") -> StationProcess:
        log = stack.folder / "logs" / f"station-{role}.log"
        if not module:
            return StationProcess(role, at_once, environment, log)
        return StationProcess(role, at_once, environment, log, program=(str(installed.python), "-m", module))

    own = {**stack.plan.base, "DATABASE_URL": stack.urls.database_url}
    found = {role: station(role, stack.environment) for role in ("worker", "load")}
    found["dbos"] = station("dbos", own, "benchmarks.peers.dbos_station")
    if installed.restate_server is not None:
        found["restate"] = station("restate", own | ports.environment, "benchmarks.peers.restate_station")
    return found


@asynccontextmanager
async def open_stations(
    stack: Stack, installed: Installed, ports: RestatePorts, at_once: int
) -> AsyncIterator[dict[str, StationProcess]]:
    async with AsyncExitStack() as running:
        stations = stations_of(stack, installed, ports, at_once)
        for station in stations.values():
            await running.enter_async_context(station)
        yield stations


def groups_of(stack: Stack, stations: Mapping[str, StationProcess]) -> dict[str, list[int]]:
    """Every process of the run, so that none counts as another program's."""
    groups = {
        "Temporal": [stack.pids["temporal"]],
        "PostgreSQL": [stack.pids["postgres"]],
        "engine worker": [stations["worker"].pid],
        "load generator": [stations["load"].pid],
        "DBOS": [stations["dbos"].pid],
    }
    if "restate" in stations:
        groups["Restate"] = [stack.pids[SERVER]]
        groups["Restate's handlers"] = [stack.pids[HANDLERS]]
        groups["Restate's clients"] = [stations["restate"].pid]
    return groups
