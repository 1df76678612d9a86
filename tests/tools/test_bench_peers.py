"""`make bench-peers`: the choice of contenders, the pins, the messages. Nothing is installed here."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from benchmarks.contenders import BASELINE, ENTRIES, chosen
from benchmarks.database_steps import DatabaseSteps
from benchmarks.errors import BenchmarkFailed
from benchmarks.peers import installation, parts
from benchmarks.peers.contenders import DBOS, RESTATE, columns, entries
from benchmarks.peers.installation import Installed, fingerprint, install, server_in
from benchmarks.peers.peer_station import PeerStation
from devstack.stack.parts import Blueprint
from devstack.stack.process import Part

ROOT = Path(installation.__file__).resolve().parents[2]
HERE = ROOT / "benchmarks" / "peers"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which the Python packages are there already."""
    venv = tmp_path / "peers" / "venv"
    venv.mkdir(parents=True)
    (venv / "installed-pins").write_text(fingerprint(installation.PINS))
    return venv.parent


def npm_that(does: str, at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a program named npm, and nothing else, on the search path."""
    at.mkdir(exist_ok=True)
    npm = at / "npm"
    npm.write_text(f"#!/bin/sh\n{does}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(at))


def test_peers_stand_beside_the_plain_saga_and_ours() -> None:
    names = [entry.name for entry in entries(with_restate=True)]
    assert names == ["empty", "plain", "ours", "ours, eager start", "DBOS", "DBOS, transactions", "Restate"]
    assert BASELINE in names


def test_restate_is_left_out_where_it_is_not_installed() -> None:
    assert RESTATE not in entries(with_restate=False)
    assert set(DBOS) <= set(entries(with_restate=False))


def test_peers_are_no_contenders_of_the_usual_run() -> None:
    assert not {RESTATE, *DBOS} & set(ENTRIES)
    assert {entry.station for entry in ENTRIES} == {"load", "worker"}


def test_peers_can_be_chosen_by_name() -> None:
    assert chosen(["Restate"], among=entries(with_restate=True)) == [RESTATE]
    with pytest.raises(BenchmarkFailed, match="no contender Restate"):
        chosen(["Restate"], among=entries(with_restate=False))


SPENT = {
    "Temporal": 1.0, "PostgreSQL": 2.0, "engine worker": 3.0, "load generator": 4.0, "DBOS": 5.0,
    "Restate": 6.0, "Restate's handlers": 7.0, "Restate's clients": 8.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shown"), [("ours", [1, 2, 3, 4]), ("DBOS", [0, 2, 5, 0]), ("Restate", [6, 2, 7, 8])]
)
def test_an_engine_pays_for_its_own_processes_only(name: str, shown: list[float]) -> None:
    (entry,) = [entry for entry in entries(with_restate=True) if entry.name == name]
    assert list(columns(SPENT, entry).values()) == shown


def test_table_has_the_same_columns_without_restate() -> None:
    spent = {name: seconds for name, seconds in SPENT.items() if "Restate" not in name}
    assert len({tuple(columns(spent, entry)) for entry in entries(with_restate=False)}) == 1


def test_without_npm_restate_is_left_out_and_that_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    installed = install(pytest.fail, folder)
    assert installed.restate_server is None
    assert "Restate is left out" in installed.missing and "no npm" in installed.missing
    assert installed.python == folder / "venv" / "bin" / "python"


def test_where_npm_fails_its_words_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm_that("echo no route to the registry >&2; exit 1", folder / "programs", monkeypatch)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    installed = install(lambda _: None, folder)
    assert installed.restate_server is None
    assert "no route to the registry" in installed.missing


def test_npm_installs_the_locked_packages_once_and_runs_no_script_of_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_that('echo "$@" >> "$(dirname "$0")/calls"', folder / "programs", monkeypatch)
    monkeypatch.setenv("PATH", f"{folder / 'programs'}:/usr/bin:/bin")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    first, second = install(lambda _: None, folder), install(pytest.fail, folder)
    (call,) = (folder / "programs" / "calls").read_text().splitlines()
    assert call.startswith("ci --ignore-scripts")
    assert first == second
    assert first.restate_server is not None and first.restate_server.is_relative_to(folder)
    assert (folder / "npm" / "package-lock.json").read_text() == (HERE / "package-lock.json").read_text()


@pytest.mark.parametrize(
    ("system", "machine", "package"),
    [("Linux", "x86_64", "linux-x64"), ("Linux", "aarch64", "linux-arm64"), ("Darwin", "arm64", "darwin-arm64")],
)
def test_server_is_the_program_itself(system: str, machine: str, package: str) -> None:
    server = server_in(Path("npm"), system, machine)
    assert server is not None and server.parts[-3:] == (f"restate-server-{package}", "bin", "restate-server")


def test_no_server_for_a_machine_that_there_is_none_for() -> None:
    assert server_in(Path("npm"), "Windows", "AMD64") is None
    assert server_in(Path("npm"), "Linux", "riscv64") is None


def test_pins_name_no_host_and_have_a_hash_each() -> None:
    lock, requirements = (HERE / "package-lock.json").read_text(), (HERE / "requirements.txt").read_text()
    assert "://" not in lock + requirements and '"resolved"' not in lock
    packages = {name: package for name, package in json.loads(lock)["packages"].items() if name}
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    pins = re.split(r"\n(?=[a-z])", requirements)
    assert all("==" in pin and "--hash=sha256:" in pin for pin in pins)


def test_server_is_pinned_to_one_version() -> None:
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    lock = json.loads((HERE / "package-lock.json").read_text())["packages"]
    (name,) = wanted
    assert wanted[name] == lock[f"node_modules/{name}"]["version"]


def test_all_contenders_use_the_same_driver() -> None:
    def pinned(file: Path) -> list[str]:
        return re.findall(r"^(?:asyncpg|uvloop|sqlalchemy)==[\w.]+", file.read_text(), re.MULTILINE)

    assert pinned(HERE / "requirements.txt") == pinned(ROOT / "requirements.txt")
    assert len(pinned(HERE / "requirements.txt")) == 3


SHARED = ("conversation", "database_steps", "errors", "load", "peers.peer_station")


@pytest.mark.parametrize("name", SHARED)
def test_what_the_peers_share_with_us_needs_only_asyncpg(name: str) -> None:
    """It runs in their environment, where nothing of ours is installed."""
    tree = ast.parse((ROOT / "benchmarks" / f"{name.replace('.', '/')}.py").read_text())
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    allowed = {"asyncpg", "devstack.errors", *(f"benchmarks.{shared}" for shared in SHARED)}
    assert {
        module for module in modules - allowed if module.partition(".")[0] not in sys.stdlib_module_names
    } == set()


def blueprint(folder: Path) -> Blueprint:
    known = SimpleNamespace(folder=folder, base={"LANG": "C"}, database_url="postgresql://nowhere/db")
    return cast(Blueprint, known)


def tailored(installed: Installed, folder: Path, synced: bool = True) -> list[Part]:
    postgres = Part("postgres", ["postgres", "-D", "data"], {}, folder)
    ports = parts.RestatePorts(ingress=1, admin=2, node=3, handlers=4)
    return parts.tailored(installed, ports, synced)(blueprint(folder), [postgres])


def test_restate_listens_on_loopback_keeps_its_log_synced_and_tells_nobody(tmp_path: Path) -> None:
    _, server, handlers = tailored(Installed(Path("python"), Path("restate-server")), tmp_path)
    places = [value for name, value in server.environment.items() if name.endswith(("BIND_ADDRESS", "BIND_IP"))]
    assert len(places) == 3 and all(place.startswith("127.0.0.1") for place in places)
    assert server.environment["RESTATE_LOG_SERVER__ROCKSDB_DISABLE_WAL_FSYNC"] == "false"
    assert server.environment["RESTATE_DISABLE_TELEMETRY"] == "true"
    assert handlers.needs == {"postgres"}


def test_restate_can_be_measured_unsynced_as_postgresql_is(tmp_path: Path) -> None:
    _, server, _ = tailored(Installed(Path("python"), Path("restate-server")), tmp_path, synced=False)
    assert server.environment["RESTATE_LOG_SERVER__ROCKSDB_DISABLE_WAL_FSYNC"] == "true"


def test_without_restate_only_postgresql_is_changed(tmp_path: Path) -> None:
    (postgres,) = tailored(Installed(Path("python"), None), tmp_path)
    assert postgres.command[-2:] == ["-c", f"max_connections={parts.CONNECTIONS}"]


class FakePeer:
    def __init__(self) -> None:
        self.placed: list[str] = []

    async def place(self, order_id: str) -> str:
        self.placed.append(order_id)
        return order_id

    async def entries(self, order_id: str) -> int:
        return len(order_id)


class FakeSteps:
    def __init__(self) -> None:
        self.checked: list[str] = []

    async def check(self, order_ids: list[str]) -> None:
        self.checked += order_ids


async def test_station_of_a_peer_obeys_as_ours_does() -> None:
    peer, steps = FakePeer(), FakeSteps()
    station = PeerStation({"dbos": peer}, cast(DatabaseSteps, steps))
    placed = await station.obey({"do": "place", "kind": "dbos", "order_ids": ["a", "b", "c"], "at_once": 2})
    assert sorted(peer.placed) == placed["keys"] == ["a", "b", "c"]
    assert len(placed["latencies"]) == 3
    assert await station.obey({"do": "settle"}) == []
    assert steps.checked == placed["keys"]
    assert await station.obey({"do": "look"}) == 1
    with pytest.raises(ValueError, match="no such command"):
        await station.obey({"do": "dance"})
