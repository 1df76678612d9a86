"""Sends what the consumer of notifications has noted, one message at a time, by whichever process owns the lock.

A message is claimed and committed before it is sent, and its end is written after: at once where it must not be sent
twice, else for a batch together. Between the two a crash leaves it SENDING: a folder gets the same file again, but
what may have gone out by SMTP is not sent twice. It is in doubt, and a person decides (`ordersaga events retry`).
"""

from __future__ import annotations

import re

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.bus.port import partition_of
from adapters.clock import now
from adapters.mail.port import Mail, MailAway, MailDoubtful, Mailer, MailRefused
from adapters.postgres.advisory_locks import AdvisoryLocks
from adapters.postgres.database import autocommit
from adapters.settings import Settings
from domain.cloud_events import CloudEvent
from events.consumers.notifications import Notifications
from events.pace import Pace
from services.consumers import dead_letters
from services.consumers.dead_letters import Fault, Letter
from services.notifications import outgoing
from services.notifications.outgoing import Claimed
from services.notifications.rendering import Shop, render
from services.notifications.tables import MessageState

LOCK = "mail"
BATCH = 20
SHORTEST, LONGEST = 0.05, 1.0  # seconds between two looks for messages
FIRST_PAUSE, LAST_PAUSE = 5.0, 900.0  # seconds before a message is tried again
AMBIGUOUS = re.compile(r"[^A-Za-z0-9-]+")

log = structlog.get_logger()


class MailSender:
    """`run` ends when it is canceled; a message that is being handed over by then is in doubt, or sent again."""

    def __init__(self, settings: Settings, mailer: Mailer, engine: AsyncEngine, locks: AdvisoryLocks) -> None:
        self._mailer, self._engine, self._locks = mailer, engine, locks
        self._each_on_its_own = autocommit(engine)
        self._locale, self._max_age = settings.shop_locale, settings.mail_max_age
        page = settings.order_page or f"{settings.public_url}/api/orders/{{order_id}}"
        self._shop = Shop(settings.shop_name, page)
        self._pace = Pace(SHORTEST, LONGEST)
        self._mine = False

    def wake(self) -> None:
        """There may be something to send."""
        self._pace.wake()

    async def run(self) -> None:
        while True:
            sent = 0
            try:
                if await self._owns():
                    sent = await self.send_due()
            except Exception as error:
                self._mine = False  # what it was sending is seen to as after a crash
                log.warning("mail_not_looked_for", error=type(error).__name__)
            if sent < BATCH:
                await self._pace.pause(worked=sent > 0)

    async def _owns(self) -> bool:
        if self._mine and self._locks.holds(LOCK):
            return True
        self._mine = LOCK in await self._locks.take([LOCK])
        if self._mine:
            await self.take_over()
        return self._mine

    async def take_over(self) -> None:
        """Sees to the messages that a process which is gone was sending."""
        async with self._engine.begin() as connection:
            for message_id, event in await outgoing.left_sending(connection):
                if self._mailer.repeatable:
                    await outgoing.put_off(connection, message_id, 0, "interrupted")
                else:
                    await self._park(connection, message_id, event, MessageState.DOUBTFUL, "interrupted")

    async def send_due(self) -> int:
        """How many messages were sent, skipped or tried. Raises what the database raises."""
        async with self._each_on_its_own.connect() as connection:
            claimed = await outgoing.claim(connection, BATCH)
        sent: list[int] = []
        try:
            for message in claimed:
                if await self._see_to(message):
                    sent.append(message.id)
                    if not self._mailer.repeatable:
                        await outgoing.sent(self._each_on_its_own, [sent.pop()])
        finally:
            if sent:
                await outgoing.sent(self._each_on_its_own, sent)
        return len(claimed)

    async def _see_to(self, message: Claimed) -> bool:
        """Whether it was sent, which has to be noted; what else becomes of it is written here."""
        if (why_not := message.why_not(now(), self._max_age)) is not None:
            await self._skip(message, why_not)
            return False
        try:
            await self._mailer.send(self._mail(message))
        except MailAway as error:
            pause = min(FIRST_PAUSE * 2 ** (message.attempts - 1), LAST_PAUSE)
            log.warning("mail_put_off", why=str(error), seconds=pause, order_id=message.order_id)
            async with self._each_on_its_own.connect() as connection:
                await outgoing.put_off(connection, message.id, pause, str(error))
        except (MailRefused, MailDoubtful) as error:
            state = MessageState.REFUSED if isinstance(error, MailRefused) else MessageState.DOUBTFUL
            log.warning("mail_not_sent", why=str(error), state=state.value, order_id=message.order_id)
            async with self._engine.begin() as connection:
                await self._park(connection, message.id, message.event, state, str(error))
        else:
            return True
        return False

    def _mail(self, message: Claimed) -> Mail:
        """Raises MailRefused where the message cannot be made: it is not tried for ever."""
        try:
            locale = message.locale or self._locale
            made = render(message.kind, locale, message.event, self._shop, message.name or "", message.product_names)
        except Exception as error:
            raise MailRefused(f"the message cannot be rendered ({type(error).__name__})") from error
        return Mail(
            key=AMBIGUOUS.sub("-", f"{message.id:09d}-{message.kind}-{message.event.id}"),
            name=message.name or "",
            address=message.email or "",
            subject=made.subject,
            text=made.text,
            html=made.html,
            language=made.locale,
            headers={"X-Order-Id": message.order_id, "X-Message-Kind": message.kind},
        )

    async def _skip(self, message: Claimed, why: str) -> None:
        async with self._each_on_its_own.connect() as connection:
            await outgoing.end(connection, message.id, MessageState.SKIPPED, why)

    async def _park(
        self, connection: AsyncConnection, message_id: int, event: CloudEvent, state: MessageState, why: str
    ) -> None:
        """It ends here, and is among the dead letters of its consumer."""
        await outgoing.end(connection, message_id, state, why)
        fault = Fault(f"mail_{state}", why)
        letter = Letter(event, event.to_json(), partition_of(event.subject), fault)
        await dead_letters.park_again(connection, Notifications.name, letter)
