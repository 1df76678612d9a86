"""Messages to customers: noted once for each event, and sent once, or not at all where nobody wants them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.mail.port import MailAway, MailDoubtful, MailRefused
from adapters.postgres.advisory_locks import AdvisoryLocks
from adapters.postgres.database import Sessions
from adapters.settings import Settings
from domain.events import EventName
from domain.notifications import MessageKind
from events import mail as mail_loop
from events.consumer import Consumer
from events.consumers.notifications import Notifications
from events.mail import MailSender
from services.consumers import dead_letters
from services.customers.tables import Customer
from services.notifications import outgoing
from tests.support.consumers import order_event, running
from tests.support.mail import FakeMailer
from tests.support.unreliable_broker import UnreliableBroker
from tests.support.waiting import until

ALL = [
    EventName.ORDER_PLACED,
    EventName.PAYMENT_AUTHORIZED,
    EventName.ORDER_CONFIRMED,
    EventName.ORDER_SHIPPED,
    EventName.ORDER_DELIVERED,
]

LOSE_HINTS = text("DELETE FROM stock_hints WHERE product_id = :product")


def own(consumer: Consumer) -> Consumer:
    """The consumer under a name of the test's own: all tests share one database."""
    consumer.name = f"{consumer.name}-{secrets.token_hex(4)}"
    return consumer


@pytest.fixture
def broker() -> UnreliableBroker:
    return UnreliableBroker()


@pytest.fixture
async def customer(sessions: Sessions) -> str:
    customer_id = f"c-{secrets.token_hex(4)}"
    async with sessions() as session, session.begin():
        session.add(Customer(customer_id=customer_id, name="Alice", email="alice@example.com", locale="de"))
    return customer_id


def order_id() -> str:
    return secrets.token_hex(16)


@asynccontextmanager
async def sending(engine: AsyncEngine, settings: Settings, mailer: FakeMailer) -> AsyncIterator[MailSender]:
    """A sender whose messages are sent when the test says so; other tests' messages are put aside."""
    async with AdvisoryLocks(settings, 78) as locks:
        yield MailSender(settings, mailer, engine, locks)


async def _told(engine: AsyncEngine, customer: str, order: str, names: list[EventName], **data: Any) -> None:
    """As the consumer does."""
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE notifications SET ended_at = now() WHERE ended_at IS NULL"))
        events = [
            order_event(order, n, name, customerId=customer, userId=customer, **data)
            for n, name in enumerate(names, start=1)
        ]
        await Notifications().apply(connection, events)


async def _states(engine: AsyncEngine, order: str) -> list[tuple[str, str | None]]:
    async with engine.connect() as connection:
        statement = text("SELECT state, why FROM notifications WHERE order_id = :order ORDER BY id")
        return [(row.state, row.why) for row in await connection.execute(statement, {"order": order})]


async def _send_all(sender: MailSender) -> None:
    while await sender.send_due():
        pass


async def test_a_customer_hears_of_an_order_once_and_in_order(
    broker: UnreliableBroker, engine: AsyncEngine, settings: Settings, customer: str
) -> None:
    """In their language, one message for each event that is told, however often the events come."""
    order, mailer = order_id(), FakeMailer()
    events = [order_event(order, n, name, customerId=customer) for n, name in enumerate(ALL, start=1)]
    await broker.put(*events, *events)

    async def noted() -> int:
        return len(await _states(engine, order))

    async with running(own(Notifications()), broker, engine, settings):
        await until(noted, 4)
    async with sending(engine, settings, mailer) as sender:
        await _send_all(sender)

    mine = [mail for mail in mailer.sent if mail.headers["X-Order-Id"] == order]
    assert [mail.headers["X-Message-Kind"] for mail in mine] == ["placed", "confirmed", "shipped", "delivered"]
    assert {(mail.name, mail.address, mail.language) for mail in mine} == {("Alice", "alice@example.com", "de")}
    assert len({mail.key for mail in mine}) == 4


async def test_nothing_is_sent_to_who_is_erased_or_does_not_want_it(
    engine: AsyncEngine, settings: Settings, customer: str
) -> None:
    """Each is decided when the message would go out, and said in its row."""
    order, mailer = order_id(), FakeMailer()
    async with engine.begin() as connection:
        await outgoing.wish(connection, customer, MessageKind.CONFIRMED, wanted=False)
        assert (await outgoing.wishes(connection, customer))[MessageKind.PLACED] is True
    await _told(engine, customer, order, [EventName.ORDER_PLACED, EventName.ORDER_CONFIRMED, EventName.ORDER_SHIPPED])
    async with sending(engine, settings, mailer) as sender:
        await sender.send_due()
        await sender.send_due()
        async with engine.begin() as connection:
            erase = text("UPDATE customers SET erased_at = now() WHERE customer_id = :customer")
            await connection.execute(erase, {"customer": customer})
        await _send_all(sender)

    assert mailer.kinds == ["placed"]
    assert await _states(engine, order) == [("sent", None), ("skipped", "unwanted"), ("skipped", "erased")]


async def test_old_news_and_what_was_told_already_are_not_sent(
    engine: AsyncEngine, settings: Settings, customer: str
) -> None:
    """After a decline that ended the order its rejection is no news."""
    order, mailer = order_id(), FakeMailer()
    await _told(engine, customer, order, [EventName.PAYMENT_DECLINED, EventName.ORDER_REJECTED])
    async with sending(engine, settings, mailer) as sender:
        await _send_all(sender)
    assert await _states(engine, order) == [("sent", None), ("skipped", "told_already")]

    old = order_id()
    await _told(engine, customer, old, [EventName.ORDER_PLACED])
    async with sending(engine, settings.model_copy(update={"mail_max_age": timedelta(0)}), mailer) as sender:
        await _send_all(sender)
    assert await _states(engine, old) == [("skipped", "too_old")]
    assert mailer.kinds == ["declined"]


async def test_a_mail_server_that_is_away_delays_and_loses_nothing(
    engine: AsyncEngine, settings: Settings, customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later messages of the same order wait behind the one that could not be sent."""
    monkeypatch.setattr(mail_loop, "FIRST_PAUSE", 0.0)
    order, mailer = order_id(), FakeMailer()
    mailer.fails = [MailAway("away"), MailAway("away")]
    await _told(engine, customer, order, [EventName.ORDER_PLACED, EventName.ORDER_CONFIRMED])
    async with sending(engine, settings, mailer) as sender:
        await _send_all(sender)

    assert mailer.kinds == ["placed", "confirmed"]


@pytest.mark.parametrize(
    ("failure", "state"), [(MailRefused("550"), "refused"), (MailDoubtful("no answer"), "doubtful")]
)
async def test_what_is_refused_or_in_doubt_is_not_sent_again_by_itself(
    engine: AsyncEngine, settings: Settings, customer: str, failure: Exception, state: str
) -> None:
    """It is among the dead letters; a retry sends it, and reading the events again does not."""
    order, mailer = order_id(), FakeMailer()
    mailer.fails = [failure]
    await _told(engine, customer, order, [EventName.ORDER_PLACED, EventName.ORDER_CONFIRMED])
    async with sending(engine, settings, mailer) as sender:
        await _send_all(sender)
        assert await _states(engine, order) == [(state, str(failure)), ("sent", None)]
        await _told(engine, customer, order, [EventName.ORDER_PLACED])
        await _send_all(sender)
        assert mailer.kinds == ["confirmed"]

        async with engine.begin() as connection:
            (letter,) = [
                one for one in await dead_letters.listed(connection, "notifications") if one.subject == order
            ]
            assert letter.reason == f"mail_{state}"
            event = order_event(order, 1, customerId=customer)
            await Notifications().apply_again(connection, event)
            await dead_letters.resolve(connection, letter.id, "retried")
        await _send_all(sender)
    assert mailer.kinds == ["confirmed", "placed"]


@pytest.mark.parametrize(("repeatable", "sent"), [(True, ["placed"]), (False, [])])
async def test_a_crash_while_sending(
    engine: AsyncEngine, settings: Settings, customer: str, repeatable: bool, sent: list[str]
) -> None:
    """A file is written again, the same one. What may have gone out by SMTP is in doubt."""
    order, mailer = order_id(), FakeMailer(repeatable=repeatable)
    await _told(engine, customer, order, [EventName.ORDER_PLACED])
    async with engine.begin() as connection:
        assert [one.order_id for one in await outgoing.claim(connection, 10)] == [order]  # and then it is gone

    async with sending(engine, settings, mailer) as sender:
        await sender.take_over()
        await _send_all(sender)

    assert mailer.kinds == sent
    assert (await _states(engine, order))[0][0] == ("sent" if repeatable else "doubtful")


@pytest.mark.parametrize(("repeatable", "ended"), [(True, "sent"), (False, "doubtful")])
async def test_a_database_that_fails_between_sending_and_noting(
    engine: AsyncEngine,
    settings: Settings,
    customer: str,
    repeatable: bool,
    ended: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process lives on and keeps its lock, so nobody takes over: it sees to its own messages as after a crash."""
    order, mailer, note = order_id(), FakeMailer(repeatable=repeatable), outgoing.sent
    await _told(engine, customer, order, [EventName.ORDER_PLACED])

    async def failing_once(*given: Any) -> None:
        monkeypatch.setattr(outgoing, "sent", note)
        raise TimeoutError

    monkeypatch.setattr(outgoing, "sent", failing_once)
    async with sending(engine, settings, mailer) as sender:
        running = asyncio.create_task(sender.run())

        async def state() -> str:
            return (await _states(engine, order))[0][0]

        await until(state, ended)
        running.cancel()
