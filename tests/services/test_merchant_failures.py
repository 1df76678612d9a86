"""Webhooks to merchants when things go wrong: crashes, pauses, endpoints that fail, for a moment or for good."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web

from adapters.clock import now
from adapters.webhooks.sender import WebhookSender
from domain.merchant_webhooks import Attempt
from domain.webhook_signatures import signed_headers
from events import webhook_deliveries
from services.merchant_webhooks import deliveries, endpoints, log
from tests.support.consumers import order_event
from tests.support.merchants import Merchants, turn
from tests.support.receiver import Receiver
from tests.support.waiting import until

STATES = "SELECT state, disabled_because, failures, resting_until IS NOT NULL FROM webhook_endpoints"
TICKETS = "SELECT resolved_at IS NULL, detail FROM tickets WHERE kind = 'webhook_disabled' AND subject = :endpoint"


async def test_a_crash_between_the_answer_and_its_note_delivers_once_more(
    merchants: Merchants, receiver: Receiver
) -> None:
    """Under the same id, when the lease is over and not before."""
    await merchants.register(receiver.url)
    await merchants.happen(order_event("a", 1))
    sender = WebhookSender(timeout=15, private=True)
    async with merchants.delivering(sender) as loop:
        engine = merchants.engine.execution_options(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            lease = timedelta(seconds=0.5)
            (claimed,) = await deliveries.claim(connection, "dying", {}, each=8, most=8, lease=lease)
        sent = signed_headers(claimed.secrets, claimed.event_id, now(), claimed.body)
        assert (await sender.send(claimed.url, sent, claimed.body)).is_delivered  # and then it is gone
        assert await loop.begin_due() == 0

        async def taken_over() -> int:
            return await loop.begin_due()

        await until(taken_over, 1)
        await loop.finish()
    assert [got.id for got in receiver.got] == ["a-1", "a-1"]
    assert await merchants.states() == ["delivered"]


async def test_a_process_that_was_paused_notes_nothing_any_more(merchants: Merchants, receiver: Receiver) -> None:
    """Another one has taken its delivery over: what that one notes counts, and what follows goes on in order."""
    await merchants.register(receiver.url)
    await merchants.happen(order_event("a", 1), order_event("a", 2))
    receiver.open.clear()
    async with merchants.delivering(slack=-14.8) as paused, merchants.delivering() as other:
        assert await paused.begin_due() == 1
        await until(receiver.count, 1)

        async def taken_over() -> int:
            return await other.begin_due()

        await until(taken_over, 1)
        await until(receiver.count, 2)
        receiver.answer = lambda got: web.Response(status=200 if len(receiver.got) > 1 else 500)
        receiver.open.set()
        await asyncio.gather(paused.finish(), other.finish())
        await turn(other)
    assert receiver.places == [("a", 1), ("a", 1), ("a", 2)]
    assert await merchants.tries() == [[200], [200]]


async def test_what_a_stopping_process_does_not_end_is_free_at_once(
    merchants: Merchants, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives its claims back, so that nobody has to wait for its leases."""
    monkeypatch.setattr(webhook_deliveries, "DRAIN", 0.05)
    await merchants.register(receiver.url)
    await merchants.happen(order_event("a", 1))
    receiver.open.clear()
    async with merchants.running():
        await until(receiver.count, 1)
    receiver.open.set()
    async with merchants.delivering() as other:
        assert await other.begin_due() == 1
        await other.finish()
    assert await merchants.states() == ["delivered"]


async def test_an_endpoint_that_keeps_failing_rests_and_is_disabled_with_a_ticket(
    merchants: Merchants, receiver: Receiver
) -> None:
    """Made active again it gets all that has waited, in order, and the ticket is closed."""
    endpoint, _ = await merchants.register(receiver.url)
    receiver.answer = lambda got: web.Response(status=503)
    await merchants.happen(*(order_event(f"o{n}", 1) for n in range(6)))
    async with merchants.delivering(webhook_failures=4) as loop:
        assert await loop.begin_due() == 6
        await loop.finish()
        assert await merchants.ask(STATES) == [("active", None, 1, False)]  # six tries that began together are one
        for failures in (2, 3):
            await merchants.no_pauses()
            assert await loop.begin_due() == 1  # one alone while it fails
            await loop.finish()
            assert await merchants.ask(STATES) == [("active", None, failures, failures > 2)]
        await merchants.ask("UPDATE webhook_deliveries SET due_at = now() WHERE ended_at IS NULL")
        assert await loop.begin_due() == 0  # it rests, whatever is due
        await merchants.no_pauses()
        assert await loop.begin_due() == 1
        await loop.finish()
        assert await merchants.ask(STATES) == [("disabled", "failures", 4, True)]
        ((is_open, detail),) = await merchants.ask(TICKETS, endpoint=endpoint)
        assert is_open and f"127.0.0.1 ({endpoint}) failed 4 times in a row, the last time: answered 503" in detail

        await merchants.no_pauses()
        await merchants.happen(order_event("o0", 2))
        assert await loop.begin_due() == 0
        receiver.answer = lambda got: web.Response()
        receiver.got.clear()
        await merchants.enable(endpoint)
        await turn(loop)
    assert sorted(receiver.places) == sorted([*((f"o{n}", 1) for n in range(6)), ("o0", 2)])
    assert receiver.places.index(("o0", 1)) < receiver.places.index(("o0", 2))
    assert await merchants.ask(STATES) == [("active", None, 0, False)]
    assert [is_open for is_open, _ in await merchants.ask(TICKETS, endpoint=endpoint)] == [False]


async def test_who_is_gone_is_disabled_at_once(merchants: Merchants, receiver: Receiver) -> None:
    """410 says that nobody will be there again; the event waits in case that was a mistake."""
    await merchants.register(receiver.url)
    receiver.answer = lambda got: web.Response(status=410)
    await merchants.happen(order_event("a", 1))
    async with merchants.delivering() as loop:
        await turn(loop)
    assert await merchants.ask(STATES) == [("disabled", "gone", 1, False)]
    assert await merchants.states() == ["waiting"]


async def test_a_day_of_failures_ends_a_delivery_and_the_next_one_goes_on(
    merchants: Merchants, receiver: Receiver
) -> None:
    """What was given up can be sent again: one alone, or all of a time in their order."""
    endpoint, _ = await merchants.register(receiver.url)
    await merchants.happen(order_event("a", 1), order_event("a", 2), order_event("a", 3))
    receiver.answer = lambda got: web.Response(status=200 if got.place[1] == 3 else 400)
    async with merchants.delivering(webhook_window=timedelta(microseconds=1)) as loop:
        for _ in range(4):
            await merchants.no_pauses()
            await turn(loop)
        assert await merchants.states() == ["given_up", "given_up", "delivered"]

        receiver.answer = lambda got: web.Response()
        receiver.got.clear()
        async with merchants.sessions() as session, session.begin():
            row = await endpoints.read_endpoint(session, endpoint)
            connection = await session.connection()
            since = now() - timedelta(hours=1)
            assert await log.send_all_again(connection, row, since, now(), everything=False) == 2
        await turn(loop)
        assert receiver.places == [("a", 1), ("a", 2)]
        async with merchants.sessions() as session, session.begin():
            connection = await session.connection()
            last = (await log.list_deliveries(connection, endpoint, log.LogFilter(), 1))[0].id
            await log.send_again(connection, await endpoints.read_endpoint(session, endpoint), last)
        await merchants.happen(order_event("a", 4))
        await turn(loop)
    assert sorted(receiver.places[2:]) == [("a", 3), ("a", 4)]
    assert {got.id for got in receiver.got} == {"a-1", "a-2", "a-3", "a-4"}
    assert await merchants.states() == ["delivered"] * 4


@pytest.mark.parametrize(
    ("answer", "told"),
    [(lambda got: None, "closed"), (lambda got: web.Response(status=302, headers={"Location": "/x"}), 302)],
)
async def test_neither_silence_nor_a_redirect_is_an_answer(
    merchants: Merchants, receiver: Receiver, answer: object, told: object
) -> None:
    """It is tried again, at the same address."""
    await merchants.register(receiver.url)
    await merchants.happen(order_event("a", 1))
    receiver.answer = answer  # type: ignore[assignment]
    async with merchants.delivering() as loop:
        await turn(loop)
    assert [got.path for got in receiver.got] == ["/hook"]
    assert (await merchants.states(), await merchants.tries()) == (["waiting"], [[told]])


async def test_a_test_attempt_that_nobody_claims_any_more_is_lost(merchants: Merchants, receiver: Receiver) -> None:
    """Its endpoint was made active again meanwhile, or it was sent again by hand: the later claim counts."""
    await merchants.register(receiver.url)
    await merchants.happen(order_event("a", 1))

    class Late:
        async def send(self, url: str, headers: object, body: bytes) -> Attempt:
            await merchants.ask("UPDATE webhook_deliveries SET claim = 'another'")
            return Attempt(now(), 0.1, 200)

        async def aclose(self) -> None: ...

    async with merchants.delivering(Late()) as loop:  # type: ignore[arg-type]
        await turn(loop)
    assert await merchants.states() == ["waiting"]
