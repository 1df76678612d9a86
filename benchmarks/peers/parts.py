"""The servers of a run beside PostgreSQL and Temporal: Restate's own, and the process that serves its handlers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from benchmarks.errors import BenchmarkFailed
from benchmarks.peers.installation import Installed
from benchmarks.processes import PROJECT
from devstack.stack.parts import Blueprint
from devstack.stack.ports import LOOPBACK, free_port
from devstack.stack.probes import http_ok
from devstack.stack.process import Part

CONNECTIONS = 300  # of PostgreSQL: every contender has its pools, all of them at the same time
SERVER, HANDLERS = "restate-server", "restate-handlers"


@dataclass(frozen=True)
class RestatePorts:
    """Where Restate's server and the handlers listen."""

    ingress: int
    admin: int
    node: int
    handlers: int

    @classmethod
    def claim(cls) -> RestatePorts:
        return cls(free_port(), free_port(), free_port(), free_port())

    @property
    def environment(self) -> dict[str, str]:
        """What the process with its clients is told."""
        return {
            "BENCH_RESTATE_INGRESS": f"http://{LOOPBACK}:{self.ingress}",
            "BENCH_RESTATE_ADMIN": f"http://{LOOPBACK}:{self.admin}",
        }


def tailored(
    installed: Installed, ports: RestatePorts, synced: bool
) -> Callable[[Blueprint, list[Part]], list[Part]]:
    """The stack's parts for a run with peers."""

    def tailor(plan: Blueprint, parts: list[Part]) -> list[Part]:
        found = [_with_connections(part) if part.name == "postgres" else part for part in parts]
        if installed.restate_server is not None:
            found.append(restate_server(plan, installed.restate_server, ports, synced))
            found.append(restate_handlers(plan, installed.python, ports))
        return found

    return tailor


def _with_connections(postgres: Part) -> Part:
    return replace(postgres, command=[*postgres.command, "-c", f"max_connections={CONNECTIONS}"])


def restate_server(plan: Blueprint, program: Path, ports: RestatePorts, synced: bool) -> Part:
    """One node with its defaults, on loopback, telling nobody of itself. `synced` is the default, too."""
    own = {
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_IP": LOOPBACK,
        "RESTATE_BIND_PORT": str(ports.node),
        "RESTATE_INGRESS__BIND_ADDRESS": f"{LOOPBACK}:{ports.ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"{LOOPBACK}:{ports.admin}",
        "RESTATE_LOG_SERVER__ROCKSDB_DISABLE_WAL_FSYNC": str(not synced).lower(),
    }
    command = [str(program), "--no-logo", "--node-name", "bench", "--base-dir", str(plan.folder / "restate")]
    return Part(
        name=SERVER,
        command=command,
        environment={**plan.base, **own},
        folder=plan.folder,
        ready=http_ok(ports.ingress, "/restate/health"),
    )


def restate_handlers(plan: Blueprint, python: Path, ports: RestatePorts) -> Part:
    return Part(
        name=HANDLERS,
        command=[str(python), "-m", "benchmarks.peers.restate_handlers", str(ports.handlers)],
        environment={**plan.base, "DATABASE_URL": plan.database_url},
        folder=PROJECT,
        ready=http_ok(ports.handlers, "/health"),
        needs=frozenset({"postgres"}),
    )


async def register(ports: RestatePorts) -> None:
    """Tells Restate's server where the handlers are. Raises BenchmarkFailed."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        where = {"uri": f"http://{LOOPBACK}:{ports.handlers}"}
        answer = await http.post(f"http://{LOOPBACK}:{ports.admin}/deployments", json=where)
    if answer.status_code not in (200, 201):
        raise BenchmarkFailed(f"Restate does not take the handlers: {answer.status_code} {answer.text}")
