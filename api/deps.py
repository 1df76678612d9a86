"""What request handlers work with: built once by the application's lifespan, handed to routes by FastAPI."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Protocol

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.postgres.database import Sessions
from adapters.postgres.hints import Hints
from adapters.settings import Settings
from adapters.stripe.payments import PaymentSnapshot
from api.identities.credentials import Credentials
from api.orders.admission import Admission
from api.orders.live import LiveOrders
from engine.update_places import UpdatePlaces
from services.inbox.arrivals import Arrivals
from services.limits.limits import Limits
from services.orders.book import OrderBook
from services.privacy.desk import PrivacyDesk


class PaymentLookup(Protocol):
    """Asks Stripe for a payment as it is now, e.g. for the client secret of an answer."""

    async def retrieve(self, payment_intent_id: str) -> PaymentSnapshot: ...


@dataclass(frozen=True)
class Services:
    settings: Settings
    sessions: Sessions  # for what is written: transactions
    reads: AsyncEngine  # each statement on its own: a read costs one round trip instead of three
    temporal: Client
    payments: PaymentLookup
    inbox: Arrivals
    admission: Admission
    hints: Hints
    book: OrderBook  # for changes of orders: those who watch them are told
    live: LiveOrders
    identities: Credentials
    limits: Limits
    privacy: PrivacyDesk
    places: UpdatePlaces = field(default_factory=UpdatePlaces)


async def services(request: Request) -> Services:
    # A coroutine, though it waits for nothing: FastAPI sends plain functions through its thread pool.
    found: Services = request.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]
