"""`ordersaga doctor`: every check when all is well, and in each way in which it fails, with its mend."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import SecretStr
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse, RegisterNamespaceRequest
from temporalio.client import Client

from adapters.settings import Settings
from adapters.temporal import client as temporal
from api.app import create_app
from commandline.configuration import DEV_NAMESPACE, Configuration
from commandline.doctor.checks import POLL_LIFE, Check, State, check_api, check_temporal, check_worker
from commandline.doctor.command import examine
from commandline.doctor.far_ends import check_carrier, check_database, check_secrets, check_stripe
from commandline.places import Place
from devstack.stack.parts import ALL_PARTS
from devstack.stack.stack import Stack
from tests.support.command import Command, served
from tests.support.waiting import until
from worker import Activities, build_worker

NOWHERE = "http://127.0.0.1:1"
NOWHERE_DATABASE = "postgresql://nobody:hidden@127.0.0.1:1/none"


def told(checks: list[Check]) -> dict[str, str]:
    """Each check's state by its name; one that is not ok has a mend."""
    assert all((check.mend != "") == (check.state is not State.OK) for check in checks)
    return {check.name: check.state.value for check in checks}


def but(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update=changes)


@pytest.fixture
async def scratch(settings: Settings) -> AsyncIterator[Settings]:
    """The settings with an empty database of the test's own."""
    name = f"doctor_{secrets.token_hex(4)}"
    url = settings.database_url.get_secret_value()
    connection = await asyncpg.connect(url, ssl=False)
    await connection.execute(f'CREATE DATABASE "{name}"')
    yield but(settings, database_url=SecretStr(f"{url.rpartition('/')[0]}/{name}"))
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


async def execute(settings: Settings, *statements: str) -> None:
    connection = await asyncpg.connect(settings.database_url.get_secret_value(), ssl=False)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def test_finds_all_well_by_what_a_running_stack_says(
    app: FastAPI, stack: Stack, settings: Settings, activities: Activities, own_inbox: None, tmp_path: Path
) -> None:
    """Addresses from stack.json and keys from beside it: nothing has to be set but the queue. Exit code 0."""
    folder = tmp_path / ".ordersaga"
    folder.mkdir()
    (folder / "credentials.json").write_text(json.dumps(asdict(stack.secrets)))
    urls, there = stack.urls, but(settings, temporal_namespace=DEV_NAMESPACE)
    async with served(app) as url, build_worker(await temporal.connect(there), there, activities):
        known = {
            "api": url, "temporalAddress": urls.temporal_address, "temporalUi": urls.temporal_ui,
            "databaseUrl": urls.database_url, "stripe": urls.stripe, "carrier": urls.carrier,
            "temporalKeys": str(settings.temporal_keys_file), "customerKeys": str(settings.customer_keys_file),
            "tombstones": str(settings.tombstones), "pids": dict.fromkeys(ALL_PARTS, 1),
        }  # fmt: skip
        (folder / "stack.json").write_text(json.dumps(known))
        ran = await Command(tmp_path, {"ORDERSAGA_TASK_QUEUE": settings.task_queue})("doctor", "--json")
    assert (ran.code, ran.err, ran.document["healthy"]) == (0, "", True), ran.out
    states = [(check["name"], check["state"]) for check in ran.document["checks"]]
    # The tests are the owner's sessions, and leave customers and endpoints: those checks have tests of their own.
    apart = ("Database roles", "Personal data", "Erasures", "Merchant webhooks")
    assert [(name, state) for name, state in states if name not in apart] == [
        (name, "ok")
        for name in (
            "API", "Brake", "Temporal", "Search attributes", "Worker", "Encryption keys", "Database", "Migrations",
            "Stripe key", "Stripe webhook secret", "Carrier webhook secret", "Carrier", "Webhook inbox",
        )
    ] + [("Broker", "warn")]  # fmt: skip
    assert not any(secret in ran.out for secret in asdict(stack.secrets).values())


async def test_exits_with_1_when_something_fails(tmp_path: Path) -> None:
    """With nothing there at all every reachable check says so, each with its mend, and none breaks."""
    variables = {
        "DATABASE_URL": NOWHERE_DATABASE, "TEMPORAL_ADDRESS": "127.0.0.1:1", "ORDERSAGA_API_URL": NOWHERE,
        "ORDERSAGA_STRIPE_API_BASE": NOWHERE, "ORDERSAGA_CARRIER_API_BASE": NOWHERE,
    }  # fmt: skip
    ran = await Command(tmp_path, variables)("doctor", "--json")
    states = {check["name"]: check["state"] for check in ran.document["checks"]}
    assert (ran.code, ran.document["healthy"]) == (1, False)
    assert {name for name, state in states.items() if state == "fail"} == {
        "API", "Temporal", "Database", "Stripe key", "Carrier",
    }  # fmt: skip
    assert "hidden" not in ran.out and "broke" not in ran.out


async def test_tells_settings_that_make_no_sense_without_their_values(tmp_path: Path) -> None:
    """The API is checked all the same."""
    ran = await Command(tmp_path, {"ORDERSAGA_STRIPE_TIMEOUT": "hidden", "ORDERSAGA_API_URL": NOWHERE})(
        "doctor", "--json"
    )
    assert ran.code == 1
    assert [check["name"] for check in ran.document["checks"]] == ["Settings", "API", "Brake"]
    assert "stripe_timeout" in ran.document["checks"][0]["found"].lower() and "hidden" not in ran.out


async def test_a_check_that_breaks_does_not_take_the_others_along(settings: Settings) -> None:
    """It counts as failed."""
    broken = Configuration(but(settings, stripe_api_key=None))
    states = told(await examine(Place(NOWHERE, "the test"), lambda: broken))
    assert (states["Stripe key"], states["Database"], states["Carrier"]) == ("fail", "ok", "ok")


async def test_finds_an_api_that_is_not_ready(settings: Settings) -> None:
    """It answers, but says what it cannot reach."""
    app = create_app(but(settings, database_url=SecretStr(NOWHERE_DATABASE)))
    async with app.router.lifespan_context(app), served(app) as url:
        (check,) = await check_api(Place(url, "the test"))
    assert (check.state, "postgresql" in check.found) == (State.FAIL, True)


async def test_finds_another_server_in_the_place_of_the_api(stack: Stack) -> None:
    """The carrier has no /readyz."""
    assert told(await check_api(Place(stack.urls.carrier, "the test"))) == {"API": "fail"}


async def test_finds_that_the_namespace_is_missing(settings: Settings) -> None:
    """And gives the command that makes it."""
    (check,) = await check_temporal(Configuration(but(settings, temporal_namespace="no-such")))
    assert check.state is State.FAIL
    assert check.mend.startswith("temporal operator namespace create --namespace no-such")


async def test_finds_missing_and_wrong_search_attributes(settings: Settings, temporal_client: Client) -> None:
    """In a namespace that has none, then in one where one has another type; with the command that makes them."""
    name = f"doctor-{secrets.token_hex(4)}"
    request = RegisterNamespaceRequest(namespace=name)
    request.workflow_execution_retention_period.FromTimedelta(timedelta(days=1))
    await temporal_client.workflow_service.register_namespace(request)
    elsewhere = Configuration(but(settings, temporal_namespace=name))

    async def found() -> str:
        checks = {check.name: check for check in await check_temporal(elsewhere)}
        attributes = checks.get("Search attributes")
        return f"{attributes.state} {attributes.found} {attributes.mend}" if attributes else ""

    create = " ".join(
        f"--name {attribute} --type {kind}"
        for attribute, kind in (
            ("OrderStatus", "Keyword"), ("CustomerId", "Keyword"),
            ("OrderTotal", "Double"), ("NeedsAttention", "Bool"),
        )
    )  # fmt: skip
    missing = "fail the namespace lacks OrderStatus, CustomerId, OrderTotal, NeedsAttention"
    await until(found, f"{missing} temporal operator search-attribute create --namespace {name} {create}")
    kinds = {"OrderStatus": IndexedValueType.INDEXED_VALUE_TYPE_INT, "CustomerId": KEYWORD, "OrderTotal": DOUBLE}
    await temporal_client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=name, search_attributes=kinds | {"NeedsAttention": BOOL})
    )
    wrong = "fail of another type than the service writes: OrderStatus OrderStatus must be Keyword"
    await until(found, wrong)


KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
DOUBLE = IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE
BOOL = IndexedValueType.INDEXED_VALUE_TYPE_BOOL


async def test_finds_that_nobody_works_on_the_task_queue(settings: Settings, temporal_client: Client) -> None:
    """A worker on another queue does not help."""
    (check,) = await check_worker(temporal_client, settings.task_queue)
    assert (check.state, settings.task_queue in check.mend) == (State.FAIL, True)


@pytest.mark.parametrize(("age", "state"), [(POLL_LIFE - 5, State.OK), (POLL_LIFE + 5, State.FAIL)])
async def test_takes_a_worker_that_stopped_asking_for_dead(age: float, state: State) -> None:
    """Temporal lists it for minutes."""
    asked = Timestamp(seconds=int(time.time() - age))
    answer = DescribeTaskQueueResponse(pollers=[PollerInfo(identity="1@host", last_access_time=asked)])

    async def describe(*_: object, **__: object) -> DescribeTaskQueueResponse:
        return answer

    service = SimpleNamespace(describe_task_queue=describe)
    client: Any = SimpleNamespace(namespace="default", workflow_service=service)
    (check,) = await check_worker(client, "orders")
    assert check.state is state


@pytest.mark.parametrize("url", [NOWHERE_DATABASE, "postgresql://u:hidden@h:port/d"])
async def test_finds_that_the_database_is_away_without_telling_its_password(settings: Settings, url: str) -> None:
    """Also where DATABASE_URL is none."""
    checks = await check_database(but(settings, database_url=SecretStr(url)))
    assert told(checks) == {"Database": "fail"}
    assert "hidden" not in checks[0].found


async def test_finds_a_wrong_password(settings: Settings) -> None:
    """The server answers, but not to us."""
    url = settings.database_url.get_secret_value()
    wrong = url.replace(url.split(":")[2].split("@")[0], "hidden")
    (check,) = await check_database(but(settings, database_url=SecretStr(wrong)))
    assert check.state is State.FAIL and "InvalidPassword" in check.found


async def test_finds_a_server_that_is_too_old(settings: Settings) -> None:
    """By the version that the service needs."""
    assert told(await check_database(settings, oldest=99)) == {"Database": "fail", "Migrations": "ok"}


async def test_finds_migrations_missing_behind_and_ahead(scratch: Settings) -> None:
    """The mend is the migration, unless the database is of newer code."""
    assert told(await check_database(scratch)) == {"Database": "ok", "Migrations": "fail"}
    await execute(
        scratch, "CREATE TABLE alembic_version (version_num text)", "INSERT INTO alembic_version VALUES ('0001')"
    )
    behind = (await check_database(scratch))[1]
    assert (behind.state, behind.mend) == (State.FAIL, "alembic upgrade head")
    await execute(scratch, "UPDATE alembic_version SET version_num = 'zzzz'")
    ahead = (await check_database(scratch))[1]
    assert (ahead.state, "zzzz" in ahead.found, ahead.mend) == (State.FAIL, True, "run the code that migrated it")


@pytest.mark.parametrize(
    ("key", "base", "said"),
    [
        ("", "simulator", "none is set"),
        ("sk_test_ordersaga_simulator", None, "the placeholder"),
        ("sk_live_abc", "simulator", "a live key would be sent to"),
        ("sk_test_wrong", "simulator", "refuses the test key"),
        ("sk_test_wrong", NOWHERE, "does not answer"),
    ],
)
async def test_finds_what_is_wrong_with_the_stripe_key(
    stack: Stack, settings: Settings, key: str, base: str | None, said: str
) -> None:
    """Not set, a placeholder, in the wrong place, refused, nobody there. The key itself is never told."""
    address = stack.urls.stripe if base == "simulator" else base
    (check,) = await check_stripe(but(settings, stripe_api_key=SecretStr(key), stripe_api_base=address))
    assert (check.state, said in check.found) == (State.FAIL, True)
    assert not key or key not in check.found + check.mend


@pytest.mark.parametrize(
    ("setting", "value", "state"),
    [
        ("stripe_webhook_secret", "", "fail"),
        ("stripe_webhook_secret", "whsec_ordersaga_simulator", "warn"),
        ("stripe_webhook_secret", "something", "warn"),
        ("carrier_webhook_secret", "", "fail"),
        ("carrier_webhook_secret", "carrier_ordersaga_webhooks", "warn"),
    ],
)
async def test_finds_what_is_wrong_with_a_webhook_secret(
    settings: Settings, setting: str, value: str, state: str
) -> None:
    """Not set, known to everybody, of another shape; the other secret is all right."""
    states = told(await check_secrets(but(settings, **{setting: SecretStr(value)})))
    assert sorted(states.values()) == sorted([state, "ok"])


async def test_finds_a_carrier_that_is_away_or_refuses_the_key(settings: Settings) -> None:
    """With the setting to look at."""
    (away,) = await check_carrier(but(settings, carrier_api_base=NOWHERE))
    (refused,) = await check_carrier(but(settings, carrier_api_key=SecretStr("wrong")))
    assert (away.state, "ORDERSAGA_CARRIER_API_BASE" in away.mend) == (State.FAIL, True)
    assert (refused.state, refused.mend) == (State.FAIL, "set ORDERSAGA_CARRIER_API_KEY")
