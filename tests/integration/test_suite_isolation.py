"""Tests share one database and must not see each other's events; workers of the suite share none."""

from __future__ import annotations

import httpx
import pytest

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from devstack.stack.parts import NAMESPACE
from devstack.stack.postgres import DATABASE
from events.relay import Relay
from tests.conftest import NEVER
from tests.support.shared_servers import Share
from tests.support.waiting import until
from tests.support.webhooks import PUT_ASIDE, Hooks


@pytest.fixture
async def of_another_test(api: httpx.AsyncClient, settings: Settings, sessions: Sessions) -> tuple[Hooks, str]:
    """An event that waits in the inbox when a test begins, from a source that no application knows."""
    hooks = Hooks(api, settings, sessions)
    return hooks, await hooks.leave_behind("of-another-test", "obj_1")


async def test_a_relay_leaves_out_what_other_tests_left(of_another_test: tuple[Hooks, str], relay: Relay) -> None:
    """It follows up the test's own event and never touches the other one."""
    hooks, theirs = of_another_test
    before = await hooks.row("of-another-test", theirs)
    ours = await hooks.leave_behind("carrier", "shp_of_nobody")

    async def followed_up() -> bool:
        row = await hooks.row("carrier", ours)
        return row is not None and row.processed_at is not None

    await until(followed_up, True)
    after = await hooks.row("of-another-test", theirs)
    assert before is not None and after is not None
    assert (after.last_error, after.attempted_at) == (PUT_ASIDE, before.attempted_at)


async def test_a_relay_of_a_test_sweeps_no_refunds(settings: Settings) -> None:
    """Not before every test has long ended."""
    assert settings.sweep_interval == NEVER


async def test_each_worker_of_the_suite_has_a_database_and_a_namespace_of_its_own(
    settings: Settings, share: Share | None, sessions: Sessions
) -> None:
    """They are named after it; a run of a single process has servers of its own."""
    own = (share.worker, share.worker) if share else (DATABASE, NAMESPACE)
    async with sessions() as session:
        database = (await session.connection()).engine.url.database
    assert (database, settings.temporal_namespace) == own
