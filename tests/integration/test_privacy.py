"""The whole way of a customer's data: everywhere it could lie is searched, before an erasure, after it, at its end.

Every field that takes something about a person gets words that are found again: of the contact key, of the accounting
key, and a card number that nobody should have typed.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from adapters.clock import now
from adapters.mail.folder import MailFolder
from adapters.postgres.advisory_locks import AdvisoryLocks
from adapters.settings import Settings
from adapters.temporal.client import workflow_id
from devstack.stack.stack import Stack
from domain.cloud_events import CloudEvent
from domain.identities import Role
from domain.notifications import MESSAGES
from domain.order_states import OrderStatus
from domain.repairs import SCAN_AFTER_VOID
from events.consumers.notifications import Notifications
from events.mail import MailSender
from services.archive import archive
from services.consumers import dead_letters
from services.consumers.dead_letters import Fault, Letter
from services.privacy.upkeep import forget_due
from services.tickets.book import open_ticket_about
from tests.support.disclosure import described, payloads
from tests.support.encryption import clear_history
from tests.support.identities import token
from tests.support.orders import Shop
from tests.support.privacy import in_clear
from tests.support.services import Services
from tests.support.waiting import until

RUN = secrets.token_hex(4)
ACCOUNTING = (f"Zephyrine{RUN}", f"Wobblegong{RUN}", f"Larkspur{RUN}")
CONTACT = (f"quill{RUN}@", f"+1 555 {RUN}", f"wallaby{RUN}")
CARD = "4242 4242 4242 4242"
SAID = f"wallaby{RUN} said"
ADDRESS = {
    "name": ACCOUNTING[0], "street1": f"7 {ACCOUNTING[1]} Way", "city": ACCOUNTING[2], "zip": "90417",
    "country": "US", "phone": CONTACT[1],
}  # fmt: skip
TOLD_BY_HAND = {EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED}


class Person:
    """A customer with two orders that end, and everything that is said about them."""

    def __init__(self, front: httpx.AsyncClient, shop: Shop, stack: Stack, settings: Settings) -> None:
        self.front, self.shop, self.stack, self.settings = front, shop, stack, settings
        self.id = f"c-{RUN}"
        self.orders: list[str] = []
        self.mails = stack.folder / "mail"

    async def post(self, path: str, body: object, **headers: str) -> dict[str, str]:
        answer = await self.front.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text
        found: dict[str, str] = answer.json()
        return found

    async def order(self) -> str:
        body = {
            "customerId": self.id,
            "items": [{"productId": await self.shop.product(), "quantity": 1}],
            "paymentMethod": "pm_card_visa",
            "shippingAddress": ADDRESS,
            "metadata": {"gift": SAID},
            "shipNotBefore": (now() + timedelta(days=1)).isoformat(),
        }
        refused = await self.front.post("/api/orders", json=body | {"metadata": {"card": CARD}})
        assert refused.status_code == 422 and CARD not in refused.text
        order_id = (await self.post("/api/orders", body))["orderId"]
        self.orders.append(order_id)
        return order_id

    async def live(self) -> None:
        """Orders, cancels by API and by signal with a card number, a note about a ticket, a cart."""
        name, email = ACCOUNTING[0], f"{CONTACT[0]}example.com"
        await self.post("/api/customers", {"customerId": self.id, "name": name, "email": email})
        by_api, by_signal = await self.order(), await self.order()
        await self.post(f"/api/orders/{by_api}/cancel", {"reason": SAID})
        handle = self.shop.client.get_workflow_handle(workflow_id(by_signal))
        await handle.signal("cancel_order", {"reason": f"{SAID} {CARD}", "by": "ops"})
        for order_id in self.orders:
            await until(lambda order_id=order_id: self.shop.status(order_id), OrderStatus.CANCELED)  # type: ignore[misc]
        async with self.shop.sessions() as session, session.begin():
            number = await open_ticket_about(session, SCAN_AFTER_VOID, "ship", "why", subject=f"of {RUN}")
        await self.post(f"/api/repairs/{number}/resolve", {"decision": "write_off", "note": SAID, "by": "alice"})
        await self.post("/api/carts", {"customerId": self.id})

    async def told(self, engine: AsyncEngine) -> None:
        """The consumers have the events: mails are sent, the archive is filled, one event could not be applied."""
        rows = [event for order_id in self.orders for event in await self.shop.events(order_id)]
        fields = ("type", "source", "subject", "sequence", "time", "traceparent", "data")
        events = [CloudEvent(id=row.event_id, **{name: getattr(row, name) for name in fields}) for row in rows]
        await archive.make_months(engine, list({archive.month_of(event) for event in events}))
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE notifications SET ended_at = now() WHERE ended_at IS NULL"))
            told = [event for event in events if event.data["eventType"] in MESSAGES]
            await Notifications().apply(connection, told)
            await archive.add(connection, [(0, event) for event in events])
            letter = Letter(events[0], events[0].to_json(), 0, Fault("broken"))
            await dead_letters.park_again(connection, f"test-{RUN}", letter)
        folder = MailFolder(self.mails, self.settings.mail_from)
        async with AdvisoryLocks(self.settings, 79) as locks:
            sender = MailSender(self.settings, folder, engine, locks)
            while await sender.send_due():
                pass

    def files(self, words: tuple[str, ...]) -> list[str]:
        """The stack's files with one of the words, but for the far ends' own, and the servers' data."""
        found = []
        for file in self.stack.folder.rglob("*"):
            if file.is_file() and not file.name.startswith("carrier") and file.suffix not in {".sock"}:
                said = file.read_bytes()
                if any(word.encode() in said for word in words) and "postgres" not in file.parts:
                    found.append(file.relative_to(self.stack.folder).parts[0])
        return sorted(set(found))


async def test_a_customers_data_are_where_they_are_meant_to_be_and_go(
    front: httpx.AsyncClient, shop: Shop, stack: Stack, base_settings: Settings, services: Services,
    engine: AsyncEngine, temporal_client: Client,
) -> None:  # fmt: skip
    """In clear nowhere but in mails and at the carrier; then under the accounting key alone; then nowhere."""
    person = Person(front, shop, stack, base_settings)
    await person.live()
    await person.told(engine)
    everything = (*ACCOUNTING, *CONTACT, CARD)

    assert await in_clear(engine, everything) == {}
    await nothing_outside(person, services, temporal_client, everything)
    assert person.files(everything) == ["mail"]
    as_privacy = {"Authorization": f"Bearer {token(Role.PRIVACY)}"}
    path = f"/api/privacy/customers/{person.id}"
    held = (await front.get(path, headers=as_privacy)).text
    assert [word for word in (*ACCOUNTING, *CONTACT) if word not in held] == [] and CARD not in held
    found = await front.post("/api/privacy/search", json={"email": f"QUILL{RUN}@example.com"}, headers=as_privacy)
    assert found.json() == {"customerIds": [person.id]}

    erased = await front.post(f"{path}/erase", headers=as_privacy)
    assert erased.status_code == 200 and erased.json()["atStripe"], erased.text
    held = (await front.get(path, headers=as_privacy)).text
    assert [word for word in (*CONTACT, CARD) if word in held] == []
    assert [word for word in ACCOUNTING if word not in held] == []
    assert await in_clear(engine, everything) == {} and person.files(everything) == []
    assert (await front.get(f"/api/customers/{person.id}")).status_code == 404
    shown = (await front.get(f"/api/orders?customerId={person.id}")).text
    assert person.orders[0] in shown and [word for word in everything if word in shown] == []

    async with engine.begin() as connection:
        due = "UPDATE customer_keys SET due_at = now() WHERE customer_id = :id AND wrapped IS NOT NULL"
        await connection.execute(text(due), {"id": person.id})
        assert await forget_due(connection) >= 1
    held = (await front.get(path, headers=as_privacy)).text
    assert [word for word in everything if word in held] == []
    await nothing_outside(person, services, temporal_client, everything)


async def nothing_outside(person: Person, services: Services, client: Client, words: tuple[str, ...]) -> None:
    """Histories but for what somebody sent there by hand, search attributes, logs, metrics, traces."""
    for order_id in person.orders:
        history = (await clear_history(client, workflow_id(order_id))).events
        said = [(event.event_type, "\n".join([str(event), *payloads(event)])) for event in history]
        assert len(said) > 8
        assert {kind for kind, shown in said if any(word in shown for word in words)} <= TOLD_BY_HAND
        sealed = (await client.get_workflow_handle(workflow_id(order_id)).fetch_history()).events
        assert not any(word.encode() in event.SerializeToString() for event in sealed for word in words)
        shown = await described(client, workflow_id(order_id))
        assert [word for word in words if word in shown] == []
    places = ["\n".join(services.logs), await services.scraped(), str(services.collector.spans)]
    assert [word for word in words for place in places if word in place] == []
