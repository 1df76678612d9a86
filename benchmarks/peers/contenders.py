"""What is compared with other engines, and what is shown of each one's processes."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contenders import ENTRIES, Entry

OURS = ("empty", "plain", "ours", "ours, eager start")

DBOS = (
    Entry(
        "DBOS",
        "dbos",
        "`@DBOS.workflow` with three `@DBOS.step`, called as a function; client, engine and worker in one process",
        own_station="dbos",
    ),
    Entry(
        "DBOS, transactions",
        "dbos-transactions",
        "the same with its datasource: a step's effect and its checkpoint in one transaction",
        own_station="dbos",
    ),
)
RESTATE = Entry(
    "Restate",
    "restate",
    "a service handler with three `ctx.run_typed`, over HTTP/2; called through the ingress by idempotency key",
    own_station="restate",
)


def entries(with_restate: bool) -> tuple[Entry, ...]:
    ours = tuple(entry for entry in ENTRIES if entry.name in OURS)
    return (*ours, *DBOS, *((RESTATE,) if with_restate else ()))


def columns(groups: Mapping[str, float], entry: Entry) -> dict[str, float]:
    """CPU by role. What an engine does only because it runs, while another one is measured, is no part of that one.

    DBOS has no server: its engine is in the worker and in PostgreSQL.
    """
    roles = {
        "": ("Temporal", "engine worker", "load generator"),
        "dbos": ("", "DBOS", ""),
        "restate": ("Restate", "Restate's handlers", "Restate's clients"),
    }
    server, worker, clients = roles[entry.own_station]
    return {
        "engine's server": groups.get(server, 0.0),
        "PostgreSQL": groups["PostgreSQL"],
        "worker": groups[worker],
        "load generator": groups.get(clients, 0.0),
    }
