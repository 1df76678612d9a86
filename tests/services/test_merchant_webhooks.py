"""Webhooks to merchants, from the event to their servers: signed, in order, again and again, and when that ends."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta

from aiohttp import web
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from adapters.clock import now
from domain.events import EventName
from domain.merchant_webhooks import event_of_test
from events.consumers.merchant_webhooks import MerchantWebhooks
from services.merchant_webhooks import deliveries, endpoints
from services.merchant_webhooks.endpoints import EndpointWanted
from tests.support.consumers import order_event
from tests.support.consumers import running as consuming
from tests.support.merchants import KEPT, LIMITS, Merchants, turn
from tests.support.receiver import Got, Receiver, receiving
from tests.support.unreliable_broker import UnreliableBroker
from tests.support.waiting import until

STATES = "SELECT state, disabled_because, failures, resting_until IS NOT NULL FROM webhook_endpoints"
TICKETS = "SELECT resolved_at IS NULL, detail FROM tickets WHERE kind = 'webhook_disabled' AND subject = :endpoint"


async def test_an_event_reaches_who_wants_it_signed_and_noted(merchants: Merchants, receiver: Receiver) -> None:
    """Once for each endpoint, as it was published; the log has status, time and the answer's beginning."""
    _, secret = await merchants.register(receiver.url, "OrderShipped")
    placed, shipped = order_event("a", 1), order_event("a", 2, EventName.ORDER_SHIPPED)
    await merchants.happen(placed, shipped)
    await merchants.happen(placed, shipped)  # read again
    async with merchants.delivering() as loop:
        await turn(loop)

    (got,) = receiver.got
    assert (got.body, got.id) == (shipped.to_json(), shipped.id)
    assert Webhook(secret).verify(got.body, got.headers)["type"] == shipped.type
    ((state, attempts, tries),) = await merchants.ask("SELECT state, attempts, tries FROM webhook_deliveries")
    assert (state, attempts) == ("delivered", 1)
    assert (tries[0]["status"], tries[0]["answer"], tries[0]["error"]) == (200, "thanks", None)
    assert tries[0]["seconds"] >= 0


async def test_from_the_broker_to_the_merchant(merchants: Merchants, receiver: Receiver) -> None:
    """By the running consumer and the running loop, each event once and each subject in order."""
    await merchants.register(receiver.url)
    broker = UnreliableBroker()
    events = [order_event(f"o{n}", sequence) for sequence in (1, 2, 3) for n in range(5)]
    async with merchants.running() as loop:
        consumer = MerchantWebhooks(KEPT, loop.wake)
        consumer.name = f"merchants-{secrets.token_hex(4)}"  # all tests share one database
        async with consuming(consumer, broker, merchants.engine, merchants.settings):
            await broker.put(*events, *events)
            await until(receiver.count, 15)
            await until(merchants.states, ["delivered"] * 15)
    for n in range(5):
        assert [place for place in receiver.places if place[0] == f"o{n}"] == [(f"o{n}", k) for k in (1, 2, 3)]


async def test_an_endpoint_gets_only_what_happens_from_now_on(merchants: Merchants, receiver: Receiver) -> None:
    """Neither what was before it, nor what is older than the log is kept when a stream is read again."""
    before = order_event("a", 1)
    await merchants.register(receiver.url)
    after = order_event("a", 2)
    await merchants.happen(before, after)
    assert await merchants.ask("SELECT sequence FROM webhook_deliveries") == [(2,)]
    async with merchants.engine.begin() as connection:
        assert await deliveries.add(connection, [order_event("a", 3)], timedelta(0)) == 0


async def test_events_of_a_subject_wait_for_each_other_and_others_do_not(
    merchants: Merchants, receiver: Receiver
) -> None:
    """While the first one is refused, those behind it are not even tried."""
    await merchants.register(receiver.url)
    await merchants.happen(*(order_event(subject, n) for n in (1, 2, 3) for subject in ("bad", "good")))
    refuses = True
    receiver.answer = lambda got: web.Response(status=500 if refuses and got.place == ("bad", 1) else 200)
    async with merchants.delivering() as loop:
        await turn(loop)
        await turn(loop)
        assert [place for place in receiver.places if place[0] == "good"] == [("good", n) for n in (1, 2, 3)]
        assert [place for place in receiver.places if place[0] == "bad"] == [("bad", 1)]
        refuses = False
        await merchants.happen(order_event("bad", 4))
        put_off = "SELECT sequence FROM webhook_deliveries WHERE ended_at IS NULL AND due_at > now() ORDER BY id"
        assert await merchants.ask(put_off) == [(1,), (2,), (3,), (4,)]  # so that no look finds what cannot go
        await merchants.ask("UPDATE webhook_deliveries SET due_at = now() WHERE event_id = 'bad-1'")
        await turn(loop)
    assert [sequence for subject, sequence in receiver.places if subject == "bad"] == [1, 1, 2, 3, 4]
    assert len({got.id for got in receiver.got if got.place == ("bad", 1)}) == 1
    assert await merchants.tries() == [[500, 200], *([[200]] * 6)]


async def test_a_slow_endpoint_delays_no_other(merchants: Merchants, receiver: Receiver) -> None:
    """It takes its own places and no more, however much waits for it."""
    async with receiving() as slow:
        slow.open.clear()
        await merchants.register(slow.url)
        await merchants.register(receiver.url)
        async with merchants.running(webhook_concurrency=3) as loop:
            await merchants.happen(*(order_event(f"o{n}", 1) for n in range(30)))
            loop.wake()
            await until(receiver.count, 30)
            assert (len(slow.got), slow.most_at_once) == (3, 3)
            slow.open.set()
            await until(slow.count, 30)
            await until(merchants.states, ["delivered"] * 60)
        assert slow.most_at_once == 3 >= receiver.most_at_once


async def test_a_rotated_secret_signs_beside_the_old_one_for_a_while(
    merchants: Merchants, receiver: Receiver
) -> None:
    """Never three: a second rotation ends the oldest. Without an overlap the old one ends at once."""
    endpoint, first = await merchants.register(receiver.url)

    async def rotated(overlap: timedelta) -> str:
        async with merchants.sessions() as session, session.begin():
            return (await endpoints.rotate_secret(session, endpoint, overlap)).secret

    async def good(*secrets: str) -> list[bool]:
        number = len(receiver.got)
        await merchants.happen(order_event(f"o{number}", 1))
        async with merchants.delivering() as loop:
            await turn(loop)
        return [_verifies(receiver.got[number], secret) for secret in secrets]

    second = await rotated(timedelta(hours=1))
    assert await good(first, second) == [True, True]
    third = await rotated(timedelta(hours=1))
    assert await good(first, second, third) == [False, True, True]
    await merchants.ask("UPDATE webhook_secrets SET expires_at = now() WHERE expires_at IS NOT NULL")
    assert await good(second, third) == [False, True]
    fourth = await rotated(timedelta(0))
    assert await good(third, fourth) == [False, True]


def _verifies(got: Got, secret: str) -> bool:
    try:
        Webhook(secret).verify(got.body, got.headers)
    except WebhookVerificationError:
        return False
    return True


async def test_a_test_reaches_a_disabled_endpoint_once(merchants: Merchants, receiver: Receiver) -> None:
    """It is never tried again and counts for nothing; the events go on waiting."""
    endpoint, _ = await merchants.register(receiver.url)
    await merchants.ask("UPDATE webhook_endpoints SET state = 'disabled'")
    await merchants.happen(order_event("a", 1))
    receiver.answer = lambda got: web.Response(status=500)
    async with merchants.delivering() as loop:
        async with merchants.engine.begin() as connection:
            await deliveries.add_test(connection, endpoint, event_of_test(endpoint, "test_1", now()))
        await turn(loop)
    assert [got.id for got in receiver.got] == ["test_1"]
    assert await merchants.states() == ["waiting", "given_up"]
    assert await merchants.ask(STATES) == [("disabled", None, 0, False)]


async def test_a_deleted_endpoint_gets_nothing_and_its_secrets_are_gone(
    merchants: Merchants, receiver: Receiver
) -> None:
    """Also what has waited for it; the rest leaves when the log does."""
    endpoint, _ = await merchants.register(receiver.url)
    await merchants.happen(order_event("a", 1))
    async with merchants.sessions() as session, session.begin():
        await endpoints.delete_endpoint(session, endpoint)
    await merchants.happen(order_event("a", 2))
    async with merchants.delivering() as loop:
        assert await loop.begin_due() == 0
        assert await merchants.ask("SELECT count(*) FROM webhook_secrets") == [(0,)]
        assert await loop.prune() == 0
        await merchants.ask("UPDATE webhook_deliveries SET created_at = now() - interval '31 days'")
        await merchants.ask("UPDATE webhook_endpoints SET deleted_at = now() - interval '31 days'")
        assert await loop.prune() == 1
    assert await merchants.ask("SELECT count(*) FROM webhook_endpoints") == [(0,)]


async def test_what_is_kept_is_not_pruned(merchants: Merchants, receiver: Receiver) -> None:
    """Of old and new deliveries only the old ones leave, and an endpoint stays."""
    await merchants.register(receiver.url)
    await merchants.happen(*(order_event(f"o{n}", 1) for n in range(4)))
    await merchants.ask("""
        UPDATE webhook_deliveries SET created_at = now() - CAST(:kept AS interval) - interval '2 hours'
         WHERE id IN (SELECT id FROM webhook_deliveries ORDER BY id LIMIT 3)
    """, kept=KEPT)  # fmt: skip
    async with merchants.delivering() as loop:
        assert await loop.prune() == 3
    assert len(await merchants.states()) == len(await merchants.ask(STATES)) == 1


async def test_no_more_endpoints_than_are_set(merchants: Merchants) -> None:
    """Registered at once, too."""
    few = LIMITS._replace(most=2)

    async def register(n: int) -> str:
        async with merchants.sessions() as session, session.begin():
            wanted = EndpointWanted(f"https://shop{n}.example.com/", ["*"], "")
            return (await endpoints.register(session, wanted, few)).secret

    done = await asyncio.gather(*(register(n) for n in range(5)), return_exceptions=True)
    assert sorted(getattr(one, "code", "made") for one in done) == ["made"] * 2 + ["too_many_webhook_endpoints"] * 3
