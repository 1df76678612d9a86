"""A shop on a server whose time is skipped, with a Stripe of its own, whose clock the test moves along."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from adapters.temporal.client import workflow_id
from devstack.stack.stack import Stack
from services.identities.actors import Actors
from tests.support.fakes import StepFaults
from tests.support.orders import Shop
from tests.support.our_client import speaking_for_us
from tests.support.own_stripe import with_stripe
from worker import build_activities, build_worker
from workflows.order import search_attributes


@dataclass
class Timeless:
    """A shop whose orders' clocks the test moves."""

    env: WorkflowEnvironment
    shop: Shop
    faults: StepFaults

    async def stripe(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Posts to a control endpoint of Stripe's simulator."""
        answer = await self.shop.http.post(f"{self.shop.stack.urls.stripe}/_control/{path}", json=body)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def move_stripe(self, passed: timedelta) -> datetime:
        """Moves the clock of Stripe's simulator; what it shows then."""
        shown = await self.stripe("clock", {"advance_seconds": passed.total_seconds()})
        return datetime.fromtimestamp(shown["now"], UTC)

    async def align_stripe(self, order_id: str) -> None:
        """Moves Stripe's clock to where the order's was skipped to: each workflow has a clock of its own."""
        there = await self.move_stripe(timedelta(0))
        here = await self.env.get_current_time(self.env.client.get_workflow_handle(workflow_id(order_id)))
        await self.move_stripe(max(here - there, timedelta(0)))


@asynccontextmanager
async def skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    async with await _started() as env:
        yield env


async def _started() -> WorkflowEnvironment:
    """The SDK gives the server five seconds to start, which a busy machine may need more than once."""
    for tries_left in reversed(range(6)):
        try:
            return await WorkflowEnvironment.start_time_skipping_v2(
                dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
                dev_server_extra_args=["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"],
                search_attributes=search_attributes.ALL,
                data_converter=pydantic_data_converter,
            )
        except RuntimeError:
            if not tries_left:
                raise
    raise AssertionError("unreachable")


@asynccontextmanager
async def timeless_shop(
    env: WorkflowEnvironment, stack: Stack, settings: Settings, sessions: Sessions, stripe: Stack | None = None
) -> AsyncIterator[Timeless]:
    """`stripe` is a stack of nothing but a simulator of the test's own."""
    if stripe is not None:
        stack, settings = with_stripe(stack, settings, stripe)
    faults = StepFaults()
    async with (
        build_activities(settings) as activities,
        build_worker(env.client, settings, activities, interceptors=[faults]),
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        ours = speaking_for_us(env.client, activities.engine, Actors(settings.service_secret))
        yield Timeless(env, Shop(stack, settings, sessions, ours, http), faults)
