"""The ground of these tests: services called as the API calls them, on PostgreSQL; no engine, no HTTP, no far end."""

from __future__ import annotations

import pytest

from adapters.postgres.database import Sessions
from tests.support.carts import Carts
from tests.support.counter import Counter


@pytest.fixture
def counter(sessions: Sessions) -> Counter:
    return Counter(sessions)


@pytest.fixture
def carts(counter: Counter) -> Carts:
    return Carts(counter)
