"""What tests share: the steps without a workflow, attempts that can be held, and the services as processes."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.database import Sessions, create_engine, dispose
from adapters.settings import Settings
from devstack.stack.stack import Stack
from services.orders.book import OrderBook
from tests.support.databases import database, migrate
from tests.support.held_gateways import LateAttempts
from tests.support.identities import Anybody
from tests.support.orders import Shop
from tests.support.outbox import Outbox
from tests.support.services import Services, running_services
from tests.support.steps import Steps
from tests.support.worker_process import Start, worker_starter
from worker import Activities


@pytest.fixture
async def steps(activities: Activities, shop: Shop) -> AsyncIterator[Steps]:
    yield Steps(activities, shop)
    await shop.no_faults()


@pytest.fixture
async def late(settings: Settings, sessions: Sessions) -> AsyncIterator[LateAttempts]:
    attempts = LateAttempts(settings, OrderBook(sessions))
    yield attempts
    await attempts.aclose()


@pytest.fixture(scope="session")
async def services(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    async with running_services(stack, tmp_path_factory.mktemp("services")) as services:
        yield services


@pytest.fixture
async def front(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API that runs as a process."""
    async with httpx.AsyncClient(
        base_url=services.url, timeout=60, trust_env=False, auth=Anybody(subject=secrets.token_hex(4))
    ) as client:
        yield client


@pytest.fixture
async def start(stack: Stack, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts workers with the stack's settings and those given."""
    async with worker_starter(stack.environment, tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
async def own(stack: Stack, base_settings: Settings) -> AsyncIterator[Settings]:
    """A database in which nobody else writes events."""
    async with database(stack) as url:
        await migrate(url, "upgrade", "head")
        yield base_settings.model_copy(update={"database_url": SecretStr(url)})


@pytest.fixture(scope="session")
async def own_engine(own: Settings) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(own)
    yield engine
    await dispose(engine)


@pytest.fixture
async def outbox(own_engine: AsyncEngine) -> Outbox:
    outbox = Outbox(own_engine)
    await outbox.change("TRUNCATE outbox")
    await outbox.change(
        "DELETE FROM tickets WHERE NOT EXISTS (SELECT FROM ticket_actions WHERE ticket_id = tickets.id)"
    )
    return outbox
