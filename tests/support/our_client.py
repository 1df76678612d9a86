"""A client of a test that stands in for API and relay: it proves and notes what they would.

As the relay does, it notes in the books where a parcel is before it tells; as the API does, it notes who hurries, and
signs decisions of the repair desk and other payment methods. What anybody could send is sent by a client without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    SignalWorkflowInput,
    StartWorkflowUpdateInput,
    WorkflowUpdateHandle,
)

from adapters.postgres.database import Sessions, create_sessions
from adapters.temporal.client import order_of
from domain.commands import NewPaymentMethod, ParcelStatus
from domain.repairs import Resolution
from services.identities.actors import Actors

_READ = text("SELECT parcel_status FROM shipments WHERE order_id = :order_id FOR UPDATE")
_NOTE = text("UPDATE shipments SET parcel_status = :status WHERE order_id = :order_id")
_HURRY = text("""
    INSERT INTO order_steps (order_id, step, state, updated_at)
    SELECT order_id, 'ship_now', 'done', now() FROM orders WHERE order_id = :order_id ON CONFLICT DO NOTHING
""")


def speaking_for_us(client: Client, engine: AsyncEngine, actors: Actors) -> Client:
    """The client as one of ours."""
    config = client.config()
    config["interceptors"] = [*config["interceptors"], _Ours(engine, actors)]
    return Client(**config)


class _Ours(Interceptor):
    def __init__(self, engine: AsyncEngine, actors: Actors) -> None:
        self._engine, self._actors = engine, actors

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _Outbound(next, self._engine, self._actors)


class _Outbound(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, engine: AsyncEngine, actors: Actors) -> None:
        super().__init__(next)
        self._engine, self._actors = engine, actors

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        order_id = order_of(input.id) or ""
        if input.signal == "parcel_changed":
            await note_parcel_of(create_sessions(self._engine), order_id, ParcelStatus(input.args[0]))
        elif input.signal == "ship_now":
            async with self._engine.begin() as connection:
                await connection.execute(_HURRY, {"order_id": order_id})
        await super().signal_workflow(input)

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        input.args = self._proven(order_of(input.id) or "", input.args)
        return await super().start_workflow_update(input)

    def _proven(self, order_id: str, args: Sequence[Any]) -> Sequence[Any]:
        match args:
            case [Resolution(proof="") as wanted]:
                return [self._actors.decided(order_id, wanted)]
            case [NewPaymentMethod(proof="") as offer]:
                return [self._actors.offered(order_id, offer.payment_method)]
        return args


async def note_parcel_of(sessions: Sessions, order_id: str, news: ParcelStatus) -> None:
    """As the relay notes it: older news than what is known changes nothing."""
    named: dict[str, Any] = {"order_id": order_id}
    async with sessions() as session, session.begin():
        connection = await session.connection()
        known = (await connection.execute(_READ, named)).scalar_one_or_none()
        if known is not None:
            await connection.execute(_NOTE, named | {"status": ParcelStatus(known).then(news).value})
