"""What the tests of workflows share: a server whose time is skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from devstack.stack.stack import Stack
from tests.support.fake_shop import FakeShop, running_fake_shop
from tests.support.fakes import StepFaults
from tests.support.timeless import Timeless, skipping_server, timeless_shop


@pytest.fixture(scope="session")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    """One for all tests: each workflow has a clock of its own there."""
    async with skipping_server() as env:
        yield env


@pytest.fixture
def fake_faults() -> StepFaults:
    return StepFaults()


@pytest.fixture
async def fake_shop(temporal_client: Client, settings: Settings, fake_faults: StepFaults) -> AsyncIterator[FakeShop]:
    """Runs the real workflow on steps in memory, which `fake_faults` can hold and make fail."""
    async with running_fake_shop(temporal_client, settings, fake_faults) as shop:
        yield shop


@pytest.fixture
async def timeless(
    env: WorkflowEnvironment, stack: Stack, settings: Settings, sessions: Sessions
) -> AsyncIterator[Timeless]:
    async with timeless_shop(env, stack, settings, sessions) as timeless:
        yield timeless
