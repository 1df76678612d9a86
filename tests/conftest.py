"""The suite's ground: one real PostgreSQL, one real Temporal server and both simulators for the whole session.

Every test gets a task queue, products and customers of its own, so that tests do not see each other's orders.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.postgres.database import Sessions, create_engine, create_sessions
from adapters.settings import Settings
from adapters.temporal import client as temporal
from api.app import create_app
from devstack.stack.stack import Stack
from events import inbox
from events.relay import Relay
from relay import build_relay
from services.identities.actors import Actors
from services.inbox import arrivals
from tests.support.database_roles import seen_by
from tests.support.distribution import Distribution, check_sharing
from tests.support.fakes import StepFaults
from tests.support.garbage import collect_less_often
from tests.support.identities import Anybody, signer
from tests.support.long_files import longest_first
from tests.support.orders import Shop
from tests.support.our_client import speaking_for_us
from tests.support.refunds import RefundSteps
from tests.support.repairs import Desk
from tests.support.shared_servers import Share, SharedServers
from tests.support.stack_settings import settings_of
from tests.support.stripe_contract import ContractGuard
from tests.support.warm_interpreter import warm
from tests.support.webhooks import Hooks, put_aside
from worker import Activities, build_activities, build_worker

WHERE_SHARED = "shared_servers"
NEVER = 1e9  # seconds: the carrier's clock is moved by the tests, and nobody sweeps tables that others use, too
SHARED = pytest.StashKey[SharedServers]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker of pytest-xdist where the servers of all are."""
    config: pytest.Config = node.config
    if SHARED not in config.stash:
        folder: Path = node.config._tmp_path_factory.mktemp("servers")
        config.stash[SHARED] = shared = SharedServers(folder, node.workerinput["workercount"])
        config.add_cleanup(shared.close)
    node.workerinput[WHERE_SHARED] = config.stash[SHARED].address


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Distribution | None:
    return Distribution(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_sessionstart() -> None:
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # that of production


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    check_sharing(items)
    items[:] = [items[index] for index in longest_first([item.path for item in items])]


def pytest_collection_finish() -> None:
    collect_less_often()


@pytest.fixture(scope="session", autouse=True)
def certificates() -> Iterator[None]:
    """Reads the certificate store once: each HTTP client would, for 17 ms, and no test speaks TLS to anybody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield


@pytest.fixture(scope="session")
def contract_guard() -> Iterator[ContractGuard]:
    """Checks every request of this process to Stripe against the SDK's own types."""
    guard = ContractGuard()
    with pytest.MonkeyPatch.context() as patch:
        guard.install(patch)
        yield guard


@pytest.fixture(autouse=True)
def stripe_contract(contract_guard: ContractGuard) -> Iterator[ContractGuard]:
    """Fails the test in which a request was wrong, also where the engine would try it again."""
    yield contract_guard
    broken, contract_guard.broken = contract_guard.broken, []
    assert not broken, broken


@pytest.fixture(scope="session")
def share(request: pytest.FixtureRequest) -> Share | None:
    """The worker's share of the common servers; None in a run of a single process."""
    given: dict[str, str] = getattr(request.config, "workerinput", {})
    return Share(given[WHERE_SHARED], given["workerid"]) if WHERE_SHARED in given else None


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory, share: Share | None) -> AsyncIterator[Stack]:
    """With simulators of its own, and with servers of its own unless workers share them."""
    parts, uses = {"postgres", "temporal", "stripe", "carrier"}, {}
    if share is not None:
        parts, uses = {"stripe", "carrier"}, await share.servers()
    folder = tmp_path_factory.mktemp("stack")
    async with Stack(folder, parts=parts, uses=uses, migrate=not uses, carrier_clock=(NEVER, NEVER)) as running:
        signer.use(running.folder)
        yield running


@pytest.fixture(scope="session", autouse=True)
def warm_interpreter(share: Share | None) -> Iterator[None]:
    """Runs programs of this project; it starts with the first call, once for all workers."""
    if share is not None:
        warm.found = share.interpreter
    yield
    warm.close()


@pytest.fixture(scope="session")
def base_settings(stack: Stack) -> Settings:
    """Settings that name the running stack, whatever the developer's shell says."""
    return settings_of(stack.environment)


@pytest.fixture
def settings(base_settings: Settings) -> Settings:
    """The settings with a task queue of the test's own, and no sweeps of tables that all tests share."""
    own = {"task_queue": f"orders-{secrets.token_hex(4)}", "sweep_interval": NEVER}
    return base_settings.model_copy(update=own)


@pytest.fixture(scope="session")
async def engine(base_settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(base_settings)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
def sessions(engine: AsyncEngine) -> Sessions:
    return create_sessions(engine)


@pytest.fixture(scope="session")
async def temporal_client(base_settings: Settings, engine: AsyncEngine) -> Client:
    """It stands in for API and relay."""
    return speaking_for_us(await temporal.connect(base_settings), engine, Actors(base_settings.service_secret))


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(seen_by("api", settings))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def own_inbox(engine: AsyncEngine) -> AsyncIterator[None]:
    """For a test with a relay: events of other tests are put aside, and so is what it leaves itself."""
    await put_aside(engine)
    yield
    await put_aside(engine)


@pytest.fixture
async def relay(settings: Settings, own_inbox: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    """Follows up the test's own webhooks as in production, but for the second that it gives our own steps to end in.

    It sweeps no refunds.
    """
    monkeypatch.setattr(inbox, "SETTLING", 0.1)
    monkeypatch.setattr(arrivals, "SETTLING", 0.1)
    async with build_relay(seen_by("relay", settings)) as parts, parts.relay as relay:
        yield relay


@pytest.fixture
def hooks(api: httpx.AsyncClient, relay: Relay, settings: Settings, sessions: Sessions) -> Hooks:
    """Webhooks that are answered by the API and followed up by the relay."""
    return Hooks(api, settings, sessions)


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url="http://api.test",
        auth=Anybody(subject=secrets.token_hex(4)),  # to whom the test's Idempotency-Keys belong
    ) as client:
        yield client


@pytest.fixture(scope="session")
async def activities(base_settings: Settings) -> AsyncIterator[Activities]:
    """The steps with a pool and clients for all tests: they serve any number of workers, one after the other."""
    async with build_activities(seen_by("worker", base_settings)) as activities:
        yield activities


@pytest.fixture
async def own_activities(
    settings: Settings, base_settings: Settings, activities: Activities
) -> AsyncIterator[Activities]:
    """The shared steps; a test that has changed what they go by gets its own."""
    async with AsyncExitStack() as stack:
        shared = _of_steps(settings) == _of_steps(base_settings)
        yield activities if shared else await stack.enter_async_context(build_activities(seen_by("worker", settings)))


def _of_steps(settings: Settings) -> dict[str, Any]:
    """The settings without those that no step reads."""
    return settings.model_dump(
        exclude={"task_queue", "sweep_interval", "checkout_budget", "payment_retry_window", "grace_period"}
    )


@pytest.fixture
async def worker(temporal_client: Client, settings: Settings, own_activities: Activities) -> AsyncIterator[None]:
    """A worker on the test's own task queue."""
    async with build_worker(temporal_client, settings, own_activities):
        yield


@pytest.fixture
async def faults(
    temporal_client: Client, settings: Settings, own_activities: Activities
) -> AsyncIterator[StepFaults]:
    """A worker like `worker`, whose steps can be held and made to fail."""
    faults = StepFaults()
    async with build_worker(temporal_client, settings, own_activities, interceptors=[faults]):
        yield faults


@pytest.fixture
def new_product(shop: Shop) -> Callable[..., Awaitable[str]]:
    return shop.product


@pytest.fixture
def new_customer(shop: Shop) -> Callable[[], Awaitable[str]]:
    return shop.customer


@pytest.fixture(scope="session")
async def far_ends() -> AsyncIterator[httpx.AsyncClient]:
    """One client for all tests, to the simulators' control endpoints."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        yield http


@pytest.fixture
def shop(
    stack: Stack, settings: Settings, sessions: Sessions, temporal_client: Client, far_ends: httpx.AsyncClient
) -> Shop:
    return Shop(stack, settings, sessions, temporal_client, far_ends)


@pytest.fixture
def desk(api: httpx.AsyncClient) -> Desk:
    """The operators' desk, by the API."""
    return Desk(api)


@pytest.fixture
async def refunds(activities: Activities, shop: Shop) -> AsyncIterator[RefundSteps]:
    """Refunds of orders whose money was captured; Stripe settles them at once unless told otherwise."""
    refunds = RefundSteps(activities, shop)
    yield refunds
    await refunds.stripe_answers("succeeded")
