"""What the tests of single steps share: the steps without a workflow, and attempts that can be held."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.database import Sessions
from adapters.order_book import OrderBook
from adapters.settings import Settings
from tests.held_gateways import LateAttempts
from tests.orders import Shop
from tests.steps import Steps
from worker import build_activities


@pytest.fixture
async def steps(settings: Settings, shop: Shop) -> AsyncIterator[Steps]:
    async with build_activities(settings) as activities:
        yield Steps(activities, shop)
    await shop.no_faults()


@pytest.fixture
async def late(settings: Settings, sessions: Sessions) -> AsyncIterator[LateAttempts]:
    attempts = LateAttempts(settings, OrderBook(sessions))
    yield attempts
    await attempts.aclose()
