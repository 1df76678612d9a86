"""The checks of `ordersaga doctor` for events: the broker, and whether the outbox reaches it."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.bus.connect import open_broker
from adapters.bus.port import BusAway
from adapters.event_routes import RoutesRefused
from adapters.settings import Settings
from commandline.doctor.asking import ask
from commandline.doctor.checks import PATIENCE, Check, fail, ok, warn
from events.consumers_main import KINDS, rules_of

BROKER, OUTBOX, ROUTES = "Broker", "Outbox", "Event routes"
LATE = 60.0  # seconds; a relay publishes within milliseconds

_OUTBOX = text("""
    SELECT (SELECT EXTRACT(EPOCH FROM now() - time) FROM outbox
             WHERE published_at IS NULL AND parked_at IS NULL ORDER BY id LIMIT 1) AS age,
           (SELECT count(*) FROM outbox WHERE parked_at IS NOT NULL AND parked_because IS NOT NULL) AS parked
""")


async def check_broker(settings: Settings) -> list[Check]:
    """Whether it answers a consumer; its stream is made by the first relay that publishes."""
    if (url := settings.broker_consumer_url or settings.broker_url) is None:
        return warn(BROKER, "none is set: events stay in the outbox", "set ORDERSAGA_BROKER_URL")
    broker = open_broker(url.get_secret_value(), settings)
    try:
        async with asyncio.timeout(2 * PATIENCE):
            heads = [await broker.head(partition) for partition in range(broker.partitions)]
    except (BusAway, TimeoutError) as error:
        mend = "start it, set ORDERSAGA_BROKER_URL right, or start a relay, which makes the stream"
        return fail(BROKER, str(error) or "it does not answer", mend)
    finally:
        await broker.aclose()
    full = sum(head.last >= head.first for head in heads)
    return ok(BROKER, f"answers; {full} of {len(heads)} partitions have events")


async def check_outbox(settings: Settings, late: float = LATE) -> list[Check]:
    """Whether events wait for longer than `late` seconds, or are parked; nothing without a database to ask."""
    if settings.broker_url is None and settings.broker_consumer_url is None:
        return []
    found = await ask(settings, _outbox)
    if found is None:
        return []
    if found.age is not None and found.age > late:
        return fail(OUTBOX, f"an event has waited for {found.age:.0f} s", "start a relay, and look at the broker")
    if found.parked:
        return warn(OUTBOX, f"the broker has refused {found.parked} events", "see `ordersaga events parked`")
    return ok(OUTBOX, "every event is published")


async def _outbox(connection: AsyncConnection) -> Row[Any]:
    return (await connection.execute(_OUTBOX)).one()


async def check_routes(settings: Settings) -> list[Check]:
    """Whether the file of routes can be used; nothing where there is none."""
    if settings.event_routes is None:
        return []
    try:
        rules = rules_of(KINDS, settings)
    except RoutesRefused as refused:
        return fail(ROUTES, str(refused), "mend the file that ORDERSAGA_EVENT_ROUTES names")
    routed = sum(rules[kind.name] is not kind.rule for kind in KINDS)
    return ok(ROUTES, f"of {routed} consumers")
