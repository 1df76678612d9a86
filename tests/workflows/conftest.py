"""What the tests of workflows share: a server whose time is skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from devstack.stack.stack import Stack
from tests.support.timeless import Timeless, skipping_server, timeless_shop


@pytest.fixture(scope="session")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    """One for all tests: each workflow has a clock of its own there."""
    async with skipping_server() as env:
        yield env


@pytest.fixture
async def timeless(
    env: WorkflowEnvironment, stack: Stack, settings: Settings, sessions: Sessions
) -> AsyncIterator[Timeless]:
    async with timeless_shop(env, stack, settings, sessions) as timeless:
        yield timeless
