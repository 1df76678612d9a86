"""Cancels an order: its workflow decides; where its rows leave no choice they answer, by the same table.

Every wish has an id, which its update, its signal and its record carry: it is decided once and recorded once.
"""

from __future__ import annotations

import hashlib
import secrets

import structlog

from api.deps import Services
from api.http.authentication import Caller
from api.orders.cancel_engine import Asking
from api.orders.schemas import CancelDecision, CancelWanted
from api.orders.view import links
from domain.cancellation import Decision
from domain.commands import CancelAnswer, CancelRequest
from domain.errors import Conflict, Unavailable
from domain.order_states import OrderStatus
from engine.calls import NoWorkflow
from services.orders import cancel_wishes
from services.shipping.cancel_books import LABELED, Seen, look

log = structlog.get_logger()


async def cancel_order(
    services: Services, order_id: str, wanted: CancelWanted, key: str | None, caller: Caller
) -> CancelDecision:
    """The decision on a cancel, or "pending" when none came in time. The same `key` means the same wish.

    Raises NotFound for an order that is not to be seen, InvalidInput for another name in `by`, TooMany after too many
    wishes, Conflict with the code of the rule that refused, Unavailable where the engine is away or nobody carries
    the order on.
    """
    by = caller.by(wanted.by)
    seen = await look(services.reads, order_id, caller.visible)
    if seen.is_closed:
        return _by_rows(services, order_id, seen)
    await services.limits.cancel(order_id, caller.visible)
    wish_id = _wish_id(order_id, caller, key)
    proof = services.identities.actors.sign(order_id, wish_id, by)
    request = CancelRequest.from_input(wanted.model_dump() | {"by": by, "wish_id": wish_id, "proof": proof})
    try:
        decided = seen.answer or await _ask(services, order_id, request)
    except NoWorkflow:
        return _by_rows(services, order_id, await look(services.reads, order_id))
    if decided is None:
        seen = await look(services.reads, order_id)
        decided = seen.answer
    log.info("cancel", order_id=order_id, code=decided.code if decided else "pending")
    if decided is None:
        return _pending(services, order_id, seen)
    if not decided.accepted:  # whoever decided: the workflow may not have heard of it
        asked = (request.wish_id, request.by, decided.code)
        await cancel_wishes.refuse_by_row(services.reads, services.book, order_id, *asked)
    return _decided(services, order_id, decided)


async def _ask(services: Services, order_id: str, request: CancelRequest) -> CancelAnswer | None:
    wish = await cancel_wishes.without_words(services.sessions, order_id, request)
    return await Asking(services, order_id, wish).decide()


def _wish_id(order_id: str, caller: Caller, key: str | None) -> str:
    """Random, or made from the Idempotency-Key and whose it is, which is nobody's business in a history."""
    if key is None:
        return secrets.token_hex(16)
    return hashlib.sha256(f"{order_id} {caller.principal.name} {key}".encode()).hexdigest()[:32]


def _by_rows(services: Services, order_id: str, seen: Seen) -> CancelDecision:
    if (answer := seen.answer) is not None:
        return _decided(services, order_id, answer)
    detail = "nobody carries this order on right now; try again later"
    raise Unavailable("no_running_workflow", detail, order_id=order_id)


def _decided(services: Services, order_id: str, answer: CancelAnswer) -> CancelDecision:
    if not answer.accepted:
        raise _refused(services, order_id, answer.status, answer.code)
    joined = answer.code.startswith("already_")
    return CancelDecision(
        order_id=order_id,
        accepted=True,
        decision=Decision.JOINED if joined else Decision.ACCEPTED,
        code=answer.code,
        status=answer.status,
        links=links(services.settings, order_id),
    )


def _pending(services: Services, order_id: str, seen: Seen) -> CancelDecision:
    return CancelDecision(
        order_id=order_id,
        accepted=None,
        decision="pending",
        code="cancel_pending",
        status=seen.status,
        links=links(services.settings, order_id),
    )


def _refused(services: Services, order_id: str, status: OrderStatus, code: str) -> Conflict:
    return Conflict(
        code,
        "the parcel was scanned already" if status in LABELED else f"an order that is {status} cannot be canceled",
        order_id=order_id,
        order_status=status.value,
        links=links(services.settings, order_id).model_dump(),
    )
