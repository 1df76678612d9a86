"""The ground of these tests: services called as the API calls them, on PostgreSQL; no engine, no HTTP, no far end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from tests.support.carts import Carts
from tests.support.counter import Counter
from tests.support.merchants import Merchants
from tests.support.receiver import Receiver, receiving


@pytest.fixture
def counter(sessions: Sessions) -> Counter:
    return Counter(sessions)


@pytest.fixture
def carts(counter: Counter) -> Carts:
    return Carts(counter)


@pytest.fixture
async def merchants(engine: AsyncEngine, sessions: Sessions, settings: Settings) -> Merchants:
    made = Merchants(engine, sessions, settings)
    await made.ask("TRUNCATE webhook_deliveries, webhook_secrets, webhook_endpoints")
    return made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver
