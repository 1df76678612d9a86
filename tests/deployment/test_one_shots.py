"""The one-shot services of docker-compose.yml, run for real: twice, with a server that comes late, and in vain."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from adapters.settings import Settings
from devstack.stack.parts import SEARCH_ATTRIBUTES
from devstack.stack.ports import LOOPBACK, free_port
from devstack.stack.postgres import find_programs
from devstack.stack.stack import Stack
from ops.temporal.worker_health import asks_for_orders
from tests.support.waiting import until
from worker import Activities, build_worker

SCRIPTS = Path(__file__).resolve().parents[2] / "ops" / "temporal"
WORDS = " ".join(f"{name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items())


class Run:
    """One run of a script, to its end."""

    def __init__(self, code: int, said: str) -> None:
        self.code, self.said = code, said


async def run(script: str, *programs: Path, **environ: str) -> Run:
    """With nothing in its environment but this, and these folders of programs first in its path."""
    path = os.pathsep.join([*map(str, programs), os.defpath])
    process = await asyncio.create_subprocess_exec(
        "sh", str(SCRIPTS / script), env={"PATH": path, **environ}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Run(process.returncode, said.decode())


async def set_up(script: str, address: str, namespace: str, **changed: str) -> Run:
    """`namespace.sh` or `search-attributes.sh`, with short breaths between attempts."""
    environ = {
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_NAMESPACE": namespace,
        "NAMESPACE_RETENTION": "720h",
        "SEARCH_ATTRIBUTES": WORDS,
        "SETUP_PAUSE": "0.2",
        "SETUP_ATTEMPTS": "150",
    }
    return await run(script, Path(sys.executable).parent, **environ | changed)


async def retention(client: Client, namespace: str) -> timedelta:
    request = DescribeNamespaceRequest(namespace=namespace)
    described = await client.workflow_service.describe_namespace(request)
    return described.config.workflow_execution_retention_ttl.ToTimedelta()


async def registered(client: Client, namespace: str) -> set[str]:
    request = ListSearchAttributesRequest(namespace=namespace)
    return set((await client.operator_service.list_search_attributes(request)).custom_attributes)


async def test_make_the_namespace_and_its_search_attributes_and_find_them_there(
    base_settings: Settings, temporal_client: Client
) -> None:
    """The second run changes nothing, but for a retention that was changed in between."""
    namespace = f"shop-{secrets.token_hex(4)}"
    for wanted in ("720h", "48h"):
        for script in ("namespace.sh", "search-attributes.sh"):
            done = await set_up(script, base_settings.temporal_address, namespace, NAMESPACE_RETENTION=wanted)
            assert done.code == 0, done.said
        assert await retention(temporal_client, namespace) == timedelta(hours=int(wanted[:-1]))
        assert await registered(temporal_client, namespace) >= set(SEARCH_ATTRIBUTES)


async def test_two_at_once_make_one_namespace(base_settings: Settings, temporal_client: Client) -> None:
    """Whoever loses the race finds what the other one made."""
    namespace = f"shop-{secrets.token_hex(4)}"
    for script in ("namespace.sh", "search-attributes.sh"):
        both = (set_up(script, base_settings.temporal_address, namespace) for _ in range(2))
        assert [done.code for done in await asyncio.gather(*both)] == [0, 0]
    assert await registered(temporal_client, namespace) >= set(SEARCH_ATTRIBUTES)


@asynccontextmanager
async def temporal_server(port: int) -> AsyncIterator[None]:
    command = ["server", "start-dev", "--headless", "--ip", LOOPBACK, "--port", str(port), "--log-level", "never"]
    environ = {"PATH": os.defpath, "TEMPORAL_VERSION_CHECK_DISABLED": "1"}
    program = str(Path(sys.executable).with_name("temporal"))
    server = await asyncio.create_subprocess_exec(program, *command, env=environ, stdout=asyncio.subprocess.DEVNULL)
    try:
        yield
    finally:
        server.terminate()
        await server.wait()


async def test_wait_for_a_server_that_comes_late() -> None:
    """Started long before the server, the script ends well once the server is there."""
    port, namespace = free_port(), "shop"
    waiting = asyncio.create_task(set_up("namespace.sh", f"{LOOPBACK}:{port}", namespace))
    await asyncio.sleep(1.5)
    assert not waiting.done()
    async with temporal_server(port):
        done = await waiting
        assert done.code == 0, done.said
        assert (await set_up("search-attributes.sh", f"{LOOPBACK}:{port}", namespace)).code == 0


async def test_give_up_and_tell_why_when_nobody_answers() -> None:
    """A bounded number of attempts: what waits for the container learns that it failed."""
    done = await set_up("namespace.sh", f"{LOOPBACK}:{free_port()}", "shop", SETUP_ATTEMPTS="2")
    assert done.code == 1
    assert "nothing is listening" in done.said.lower() and "gave up: operator cluster health" in done.said


async def test_do_not_retry_what_no_retry_can_mend(base_settings: Settings) -> None:
    """An attribute of another type, or a program that the image lacks, fails at once."""
    namespace = f"shop-{secrets.token_hex(4)}"
    for script in ("namespace.sh", "search-attributes.sh"):
        assert (await set_up(script, base_settings.temporal_address, namespace)).code == 0
    at_once = {"SETUP_PAUSE": "60"}
    address = base_settings.temporal_address
    clash = await set_up(
        "search-attributes.sh", address, namespace, SEARCH_ATTRIBUTES="OrderStatus=Double", **at_once
    )
    assert clash.code == 1 and "different type" in clash.said
    missing = await run("schema.sh", **at_once)
    assert missing.code == 1 and "not found" in missing.said


async def test_bring_both_schemas_up_to_date(tmp_path: Path) -> None:
    """A stand-in for Temporal's tool records its calls; it fails at first, and its password is no argument."""
    tool, calls = tmp_path / "temporal-sql-tool", tmp_path / "calls"
    tool.write_text(f'#!/bin/sh\n[ -e "{calls}" ] || {{ : > "{calls}"; exit 1; }}\necho "$*" >> "{calls}"\n')
    tool.chmod(0o755)
    done = await run("schema.sh", tmp_path, SQL_PASSWORD="hidden", SETUP_PAUSE="0")
    assert done.code == 0, done.said
    versions = "/etc/temporal/schema/postgresql/v12"
    assert calls.read_text().splitlines() == [
        "--database temporal setup-schema --version 0.0",
        f"--database temporal update-schema --schema-dir {versions}/temporal/versioned",
        "--database temporal_visibility setup-schema --version 0.0",
        f"--database temporal_visibility update-schema --schema-dir {versions}/visibility/versioned",
    ]


@pytest.fixture
async def administrator(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """A PostgreSQL of the test's own with the administrator `postgres`, as the image makes it."""
    async with Stack(tmp_path, parts={"postgres"}, migrate=False) as stack:
        first = await asyncpg.connect(stack.urls.database_url, ssl=False)
        await first.execute("CREATE ROLE postgres LOGIN SUPERUSER PASSWORD 'administrators-own'")
        await first.close()
        place = urlsplit(stack.urls.database_url)
        environ = {"PGHOST": LOOPBACK, "PGPORT": str(place.port), "PGUSER": "postgres"}
        environ["PGPASSWORD"] = "administrators-own"
        own = await asyncpg.connect(host=LOOPBACK, port=place.port, user="postgres", password="administrators-own",
                                    database="postgres", ssl=False)  # fmt: skip
        await own.execute('ALTER DATABASE ordersaga RENAME TO "stacks-own"')
        await own.execute('ALTER ROLE ordersaga RENAME TO "stacks-own"')
        await own.close()
        yield environ


async def answer(environ: dict[str, str], role: str, password: str, database: str) -> str:
    """What PostgreSQL says to a connection: the role, or why it refuses."""
    try:
        connection = await asyncpg.connect(
            host=LOOPBACK, port=environ["PGPORT"], user=role, password=password, database=database, ssl=False
        )
    except asyncpg.PostgresError as refusal:
        return type(refusal).__name__
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()


async def test_make_roles_that_own_their_databases_and_see_no_other(administrator: dict[str, str]) -> None:
    """Run again with a new password it takes effect; a password that a URL could not hold is refused."""
    programs = find_programs(os.environ)
    passwords = {"ORDERSAGA_DB_PASSWORD": "old", "TEMPORAL_DB_PASSWORD": "temporals-own"}
    processes = {process: f"{process}s-own" for process in ("api", "worker", "relay")}
    passwords |= {f"ORDERSAGA_DB_{process.upper()}_PASSWORD": own for process, own in processes.items()}
    for password in ("old", "new"):
        done = await run("databases.sh", programs, **administrator, **passwords | {"ORDERSAGA_DB_PASSWORD": password})
        assert done.code == 0, done.said
        assert await answer(administrator, "ordersaga", password, "ordersaga") == "ordersaga"
    assert await answer(administrator, "ordersaga", "old", "ordersaga") == "InvalidPasswordError"
    assert await answer(administrator, "temporal", "temporals-own", "temporal") == "temporal"
    assert await answer(administrator, "temporal", "temporals-own", "temporal_visibility") == "temporal"
    assert await answer(administrator, "temporal", "temporals-own", "ordersaga") == "InsufficientPrivilegeError"
    assert await answer(administrator, "ordersaga", "new", "temporal") == "InsufficientPrivilegeError"
    for process, own in processes.items():
        login = f"ordersaga_{process}_1"
        assert await answer(administrator, login, own, "ordersaga") == login
        assert await answer(administrator, login, own, "temporal") == "InsufficientPrivilegeError"
    assert await answer(administrator, "ordersaga_reporting_1", "", "ordersaga") != "ordersaga_reporting_1"
    refused = await run("databases.sh", **administrator, **passwords | {"TEMPORAL_DB_PASSWORD": "a/b@c"})
    assert refused.code == 1 and "a/b@c" not in refused.said


async def test_a_worker_is_healthy_while_it_asks_for_orders(
    settings: Settings, temporal_client: Client, activities: Activities
) -> None:
    """The health check sees this host's worker, and neither another host's nor one that is not there."""
    here = socket.gethostname()
    assert not await asks_for_orders(settings, here)
    async with build_worker(temporal_client, settings, activities):
        await until(lambda: asks_for_orders(settings, here), True)
        assert not await asks_for_orders(settings, f"not-{here}")
