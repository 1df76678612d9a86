"""Decisions of a workflow are proven on steps in memory; `make proof` runs the same tests on the real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from adapters.settings import Settings
from tests.support.any_shop import AnyShop
from tests.support.fake_shop import FakeShop, running_fake_shop
from tests.support.fakes import StepFaults

IN_MEMORY, ON_SERVERS = "in_memory", "on_servers"


@pytest.fixture(params=[IN_MEMORY, pytest.param(ON_SERVERS, marks=pytest.mark.long)])
def layer(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def fake_faults() -> StepFaults:
    return StepFaults()


@pytest.fixture
async def fake_shop(temporal_client: Client, settings: Settings, fake_faults: StepFaults) -> AsyncIterator[FakeShop]:
    """Runs the real workflow on steps in memory, which `fake_faults` can hold and make fail."""
    async with running_fake_shop(temporal_client, settings, fake_faults) as shop:
        yield shop


@pytest.fixture
def shop(layer: str, request: pytest.FixtureRequest) -> AnyShop:
    found: AnyShop = request.getfixturevalue("fake_shop" if layer == IN_MEMORY else "shop")
    return found


@pytest.fixture
def faults(layer: str, shop: AnyShop, request: pytest.FixtureRequest) -> StepFaults:
    found: StepFaults = request.getfixturevalue("fake_faults" if layer == IN_MEMORY else "faults")
    return found


@pytest.fixture
def worker(layer: str, shop: AnyShop, request: pytest.FixtureRequest) -> None:
    """In memory the shop has one already."""
    if layer == ON_SERVERS:
        request.getfixturevalue("worker")
