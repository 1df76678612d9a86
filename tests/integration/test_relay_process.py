"""`python relay.py` as production runs it, what it says of its health, and what `ordersaga doctor` says of both."""

from __future__ import annotations

import asyncio
import secrets
import signal
from datetime import timedelta

import httpx
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.clock import now
from adapters.postgres import reachability
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from adapters.telemetry import health_page
from commandline.doctor.checks import State
from commandline.doctor.relay import check_inbox, check_relay_health
from devstack.stack.ports import LOOPBACK, free_port
from events.health import STUCK, RelayHealth
from events.relay import Relay
from relay import build_relay
from services.inbox.tables import InboxEvent
from tests.support.webhooks import Hooks
from tests.support.worker_process import Start


async def test_says_what_it_can_reach(
    settings: Settings, relay: Relay, engine: AsyncEngine, temporal_client: Client
) -> None:
    """Ready with PostgreSQL and Temporal; alive while it looks at the inbox, which an idle one does seldom."""
    health = RelayHealth(relay, lambda: reachability.parts(engine, temporal_client), settings.sweep_interval)
    await asyncio.wait_for(relay.listening.wait(), 60)
    ready = await health.ready()
    assert (ready.healthy, ready.said) == (True, {"postgresql": "ok", "temporal": "ok", "notifications": "ok"})
    assert (await health.alive()).healthy
    stuck = RelayHealth(relay, lambda: reachability.parts(engine, temporal_client), -STUCK - 1)
    assert ((await stuck.alive()).healthy, (await stuck.alive()).said["status"]) == (False, "stuck")


async def test_begins_without_anything_and_says_what_is_away(settings: Settings) -> None:
    """It waits for PostgreSQL and Temporal, and is alive meanwhile."""
    nowhere = SecretStr(f"postgresql://x:x@{LOOPBACK}:9/x")
    away = settings.model_copy(update={"database_url": nowhere, "temporal_address": f"{LOOPBACK}:9"})
    async with build_relay(away) as parts, parts.relay as relay:
        health = RelayHealth(relay, lambda: reachability.parts(parts.engine, parts.temporal), 15.0)
        answer = await health.ready()
        assert not answer.healthy
        assert answer.said == {"postgresql": "away", "temporal": "away", "notifications": "away"}
        assert (await health.alive()).healthy


async def test_the_process_follows_up_and_drains(
    start: Start, api: httpx.AsyncClient, settings: Settings, sessions: Sessions, own_inbox: None
) -> None:
    """`python relay.py` until SIGTERM: exit code 0, and a line for each of its states."""
    port = free_port()
    process = await start("relay.py", ORDERSAGA_RELAY_HEALTH_PORT=str(port))
    await process.says("relay started")
    hooks = Hooks(api, settings, sessions)
    row = await hooks.processed(await hooks.carrier("shp_of_nobody"), "carrier")
    assert row.last_error is None
    async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", trust_env=False, timeout=60) as page:
        assert (await page.get("/healthz")).json() == {"status": "ok", "following_up": 0}
        assert (await page.get("/readyz")).status_code == 200
    process.send(signal.SIGTERM)
    assert await process.ended() == 0
    said = [line["event"] for line in process.lines if line["logger"] == "relay"]
    assert said == ["relay started", "relay drains", "relay stopped"]


async def test_the_process_ends_with_2_for_settings_that_make_no_sense(start: Start) -> None:
    """The log names the setting."""
    process = await start("relay.py", ORDERSAGA_SWEEP_INTERVAL="0")
    assert await process.ended() == 2
    assert [line["setting"] for line in process.lines if line["event"] == "bad setting"] == ["sweep_interval"]


async def test_the_doctor_finds_a_relay_well_deaf_cut_off_or_gone(settings: Settings, relay: Relay) -> None:
    """Each with its mend; one whose page is turned off is not asked."""
    port, parts = free_port(), {"postgresql": "ok", "temporal": "ok"}

    async def reachable() -> dict[str, str]:
        return parts

    health = RelayHealth(relay, reachable, settings.sweep_interval)
    told = settings.model_copy(update={"relay_health_port": port})
    assert await check_relay_health(settings) == []
    await asyncio.wait_for(relay.listening.wait(), 60)
    async with health_page.served(LOOPBACK, port, health.pages):
        assert [check.state for check in await check_relay_health(told)] == [State.OK]
        relay.listening.clear()
        (deaf,) = await check_relay_health(told)
        assert (deaf.state, "no notifications arrive" in deaf.found) == (State.WARN, True)
        parts["temporal"] = "away"
        (cut_off,) = await check_relay_health(told)
        assert (cut_off.state, "cannot reach temporal" in cut_off.found) == (State.FAIL, True)
    (gone,) = await check_relay_health(told)
    assert (gone.state, "python relay.py" in gone.mend) == (State.FAIL, True)


async def test_the_doctor_finds_webhooks_that_nobody_follows_up(
    settings: Settings, api: httpx.AsyncClient, sessions: Sessions, own_inbox: None
) -> None:
    """By the age of the oldest; a database that is away is another check's business."""
    assert [check.state for check in await check_inbox(settings)] == [State.OK]
    old = now() - timedelta(minutes=5)
    await Hooks(api, settings, sessions).leave_behind(f"source-{secrets.token_hex(4)}", "obj", old)
    (late,) = await check_inbox(settings)
    assert (late.state, "start a relay" in late.mend) == (State.FAIL, True)
    nowhere = settings.model_copy(update={"database_url": SecretStr(f"postgresql://x:x@{LOOPBACK}:9/x")})
    assert await check_inbox(nowhere) == []


async def test_the_doctor_finds_webhooks_that_never_leave(
    settings: Settings, api: httpx.AsyncClient, sessions: Sessions, own_inbox: None
) -> None:
    """They are followed up, but no relay deletes them when their time is over."""
    short = settings.model_copy(update={"inbox_kept": timedelta(days=7)})  # the suite's own relay keeps it for longer
    processed_at = now() - timedelta(days=9)
    source = f"source-{secrets.token_hex(4)}"
    event_id = await Hooks(api, settings, sessions).leave_behind(source, "obj", processed_at)
    async with sessions() as session, session.begin():
        (await session.get_one(InboxEvent, (source, event_id))).processed_at = processed_at
    (kept,) = await check_inbox(short)
    assert (kept.state, "kept for 9 days" in kept.found) == (State.WARN, True)
    async with sessions() as session, session.begin():
        await session.delete(await session.get_one(InboxEvent, (source, event_id)))
    assert [check.state for check in await check_inbox(short)] == [State.OK]
