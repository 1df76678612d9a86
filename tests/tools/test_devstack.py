"""The development stack and its commands, run for real."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import pytest_asyncio

from devstack.stack import postgres
from devstack.stack.parts import KNOWN_PARTS, PROJECT
from devstack.stack.process import PartFailed
from devstack.stack.stack import Stack, StackBusy

HOSTILE = {
    "DATABASE_URL": "postgresql://nobody:wrong@127.0.0.1:1/none",
    "ORDERSAGA_DATABASE_URL": "nonsense",
    "TEMPORAL_ADDRESS": "127.0.0.1:1",
    "TEMPORAL_NAMESPACE": "elsewhere",
    "TEMPORAL_TLS": "true",
    "TEMPORAL_API_KEY": "nonsense",
    "STRIPE_API_KEY": "sk_live_never_to_be_used",
    "ORDERSAGA_STRIPE_API_BASE": "http://127.0.0.1:1",
    "ORDERSAGA_TASK_QUEUE": "elsewhere",
    "ORDERSAGA_API_PORT": "nonsense",
    "PGSSLMODE": "verify-full",
    "PGPORT": "1",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "ALL_PROXY": "http://127.0.0.1:1",
}
FREE_PORTS = {
    f"ORDERSAGA_{part}_PORT": "0" for part in ("API", "TEMPORAL", "TEMPORAL_UI", "POSTGRES", "STRIPE", "CARRIER")
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ordersaga-test-") as made:
        yield Path(made)
        for stack in Path(made).iterdir():
            postgres.forget(stack)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(folder: Path) -> AsyncIterator[Stack]:
    async with Stack(folder / "shared", parts={"postgres", "stripe"}, migrate=False) as running:
        yield running


async def _sql(stack: Stack, statement: str) -> object:
    connection = await asyncpg.connect(stack.urls.database_url, ssl=False)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _run(command: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    """A command of the stack with this environment on top, its input closed."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=PROJECT,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


async def test_starts_a_killed_part_again_on_the_same_port_and_data(stack: Stack) -> None:
    """After SIGKILL the database is back under the same URL, with what was committed, as another process."""
    await _sql(stack, "CREATE TABLE kept AS SELECT 42 AS answer")
    killed = stack.kill("postgres")
    await stack.ready("postgres")
    assert await _sql(stack, "SELECT answer FROM kept") == 42
    assert stack.pids["postgres"] != killed


async def test_stack_file_names_every_url_and_follows_a_restart(stack: Stack) -> None:
    """`stack.json` holds what outside tools start from, and the new pid of a part that was started again."""
    file = stack.folder / "stack.json"
    stack.kill("stripe")
    await stack.ready("stripe")
    known = json.loads(file.read_text())
    assert known["databaseUrl"] == stack.urls.database_url
    assert known["pids"] == stack.pids
    urls = {"api", "temporalAddress", "temporalUi", "databaseUrl", "stripe", "carrier", "workerHealth", "relayHealth"}
    urls |= {"nats", "temporalKeys", "customerKeys", "tombstones"}
    assert set(known) == urls | {"pids"}
    assert file.stat().st_mode & 0o077 == 0


async def test_a_stopped_part_stays_down_until_it_is_started(stack: Stack) -> None:
    """A part that was stopped on purpose is not started again by itself."""
    await stack.stop_part("stripe")
    await asyncio.sleep(0.3)
    assert "stripe" not in stack.pids
    with pytest.raises(PartFailed, match="does not run"):
        stack.kill("stripe")
    await stack.start_part("stripe")
    assert psutil.pid_exists(stack.pids["stripe"])


async def test_a_second_stack_in_the_same_folder_is_refused(stack: Stack) -> None:
    """The refusal names the folder, and the running stack's file stays."""
    with pytest.raises(StackBusy, match="already runs"):
        await Stack(stack.folder).start()
    assert (stack.folder / "stack.json").exists()


async def test_gives_up_a_part_that_dies_at_every_start_with_the_end_of_its_log(folder: Path) -> None:
    """A part that cannot start ends the start with its own words; nothing is left running."""
    broken = {**os.environ, "ORDERSAGA_TEMPORAL_BIN": "/bin/false"}
    began = time.monotonic()
    with pytest.raises(PartFailed, match=r"temporal did not start.*temporal\.log"):
        await Stack(folder / "broken", parts={"temporal", "stripe"}, migrate=False, environ=broken).start()
    assert time.monotonic() - began < 60
    assert not (folder / "broken" / "stack.json").exists()
    assert not _parts_in(folder / "broken")


def test_no_part_outlives_a_killed_supervisor(folder: Path) -> None:
    """SIGKILL to the supervisor takes every part with it."""
    script = (
        "import asyncio, pathlib, sys; from devstack.stack.stack import Stack\n"
        "async def main():\n"
        "    async with Stack(pathlib.Path(sys.argv[1]), parts={'postgres', 'stripe'}, migrate=False) as stack:\n"
        "        print(*stack.pids.values(), flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(folder / "orphans")]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        parts = [psutil.Process(int(pid)) for pid in supervisor.stdout.readline().split()]
        supervisor.kill()
    assert len(parts) == 2
    gone, alive = psutil.wait_procs(parts, timeout=30)
    assert not alive
    assert len(gone) == 2


def test_up_refuses_a_live_key_before_anything_starts(folder: Path) -> None:
    """`make up` with a live key says so and exits with 1; no folder is made."""
    chosen = folder / "live"
    refused = _run(["devstack.stack", "up", "--folder", str(chosen)], STRIPE_API_KEY="sk_live_secret")
    assert refused.returncode == 1
    assert "live key" in refused.stderr
    assert "sk_live_secret" not in refused.stdout + refused.stderr
    assert not chosen.exists()


def test_up_runs_until_interrupted_and_keeps_its_state(folder: Path) -> None:
    """`make up` writes its file when all is ready; Ctrl-C stops every part, removes the file and exits with 0."""
    chosen = folder / "up"
    command = [sys.executable, "-m", "devstack.stack", "up", "--folder", str(chosen)]
    with subprocess.Popen(
        command, cwd=PROJECT, env=_own_environment() | FREE_PORTS, stdout=subprocess.PIPE, text=True
    ) as up:
        assert up.stdout is not None
        said = ""
        while "cancel_order" not in said:
            line = up.stdout.readline()
            assert line, said
            said += line
        known = json.loads((chosen / "stack.json").read_text())
        up.send_signal(signal.SIGINT)
        said += up.stdout.read()
    assert up.returncode == 0, said
    for name in ("api", "temporalAddress", "temporalUi", "databaseUrl", "stripe", "carrier"):
        assert known[name] in said
    assert set(known["pids"]) == KNOWN_PARTS
    assert not any(psutil.pid_exists(pid) for pid in known["pids"].values())
    assert not (chosen / "stack.json").exists()
    assert (chosen / "temporal.db").exists()


def test_demo_ends_every_order_as_it_should_whatever_the_environment_says() -> None:
    """The demo exits with 0, tells every outcome in its table, and ignores every server and key that is named."""
    told = _run(["devstack.demo"], **HOSTILE)
    assert told.returncode == 0, told.stdout + told.stderr
    table = told.stdout[told.stdout.index("Outcome") :]
    ends = {
        "A good order": ("DELIVERED", "captured 279.98"),
        "A declined card": ("REJECTED", "nothing held"),
        "More than the stock": ("REJECTED", "nothing held"),
        "Canceled by a signal": ("CANCELED", "voided 159.98"),
    }
    for order, words in ends.items():
        row = next(line for line in table.splitlines() if order in line)
        assert all(word in row for word in (*words, "/namespaces/default/workflows/order-")), table


def _own_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in HOSTILE}


def _parts_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or []):
            found.append(process)
    return found
