"""A relay is killed while webhooks to a merchant are under way: each arrives all the same, every subject in order."""

from __future__ import annotations

import signal
from itertools import groupby

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from tests.support.consumers import order_event
from tests.support.merchants import Merchants
from tests.support.receiver import Got, Receiver, receiving
from tests.support.waiting import until
from tests.support.worker_process import Start

SUBJECTS, EACH, ANSWERED = 6, 4, 8
LEASES_ARE_OVER = "UPDATE webhook_deliveries SET due_at = now() WHERE claim IS NOT NULL"


def stops_answering(receiver: Receiver) -> None:
    """Behind the eighth answer: what comes then is held, and so under way when the relay dies."""

    def answer(_: Got) -> web.Response:
        if len(receiver.got) >= ANSWERED:
            receiver.open.clear()
        return web.Response(status=204)

    receiver.answer = answer


async def test_what_a_killed_relay_had_under_way_arrives_once_more(
    start: Start, engine: AsyncEngine, sessions: Sessions, settings: Settings, own_inbox: None
) -> None:
    """By `kill -9` of `python relay.py`, with some delivered, some under way, some never tried; another one goes on.

    At least once: what was under way comes again under its id, and before what follows it.
    """
    merchants = Merchants(engine, sessions, settings)
    await merchants.ask("TRUNCATE webhook_deliveries, webhook_secrets, webhook_endpoints")
    async with receiving() as receiver:
        stops_answering(receiver)
        await merchants.register(receiver.url)
        wanted = [(f"o{subject}", sequence) for sequence in range(1, EACH + 1) for subject in range(SUBJECTS)]
        await merchants.happen(*(order_event(*one) for one in wanted))

        async def is_held() -> bool:
            return receiver.waiting > 0 and "delivered" in await merchants.states()

        killed = await start("relay.py", ORDERSAGA_WEBHOOK_PRIVATE_TARGETS="true")
        await until(is_held, True)
        killed.send(signal.SIGKILL)
        await killed.ended()
        assert "waiting" in await merchants.states()
        receiver.answer = lambda got: web.Response(status=204)
        receiver.open.set()
        await merchants.ask(LEASES_ARE_OVER)
        other = await start("relay.py", ORDERSAGA_WEBHOOK_PRIVATE_TARGETS="true")
        await until(merchants.states, ["delivered"] * len(wanted))
        other.send(signal.SIGTERM)
        assert await other.ended() == 0

    for subject in (f"o{number}" for number in range(SUBJECTS)):
        arrived = [sequence for place, sequence in receiver.places if place == subject]
        assert [sequence for sequence, _ in groupby(arrived)] == [*range(1, EACH + 1)]
    assert len(receiver.got) > len(wanted)
    assert len({(got.id, got.body) for got in receiver.got}) == len(wanted)
