"""What a person has settled about a payment, and what Stripe says of it since.

A decision is made on what is known then. When it turns out that Stripe has done the same thing as well, before the
decision or after it, a person has to hear of it: the customer may have been paid twice.
"""

from __future__ import annotations

from domain.commands import Message
from domain.payments import IntentStatus
from domain.repairs import SETTLED_TWICE, RepairDecision
from domain.steps import CAPTURE, PAYMENTS, RETURN


class Known(Message):
    """A payment at Stripe as it is known: its status (empty where only our books were read), and minor units."""

    status: str = ""
    received: int = 0
    refunded: int = 0


class Settled(Message):
    """The latest decision about a payment: of which ticket it was, and what was known of the payment then."""

    ticket_id: int
    kind: str
    step: str
    decision: RepairDecision
    known: Known


def happened_as_well(settled: Settled, now: Known) -> str:
    """What Stripe has done of what was settled otherwise, in words; empty while it has done nothing of it."""
    if settled.kind == SETTLED_TWICE or settled.step not in (RETURN, CAPTURE):
        return ""
    words = "was done by other means" if settled.decision is RepairDecision.MARK_DONE else "was written off"
    about = f"{settled.step} {words} (ticket {settled.ticket_id}), and Stripe"
    known = settled.known
    if settled.step == CAPTURE and now.received > known.received:
        return f"{about} has captured {now.received}"
    if settled.step == RETURN and settled.decision is RepairDecision.MARK_DONE:
        if now.refunded > known.refunded:
            return f"{about} has given back {now.refunded}, of which {known.refunded} were known then"
        if now.status == IntentStatus.CANCELED and known.status != IntentStatus.CANCELED:
            return f"{about} has released the payment: nothing of it was ever taken"
    return ""


def stands(settled: Settled, now: Known) -> bool:
    """Whether the payment is still as it was when it was settled: then nobody has to be told again.

    Money that is only held ends by being released, at the latest by its bank: after a write-off that is no news.
    """
    known = settled.known
    if settled.step == PAYMENTS:  # a difference of amounts was settled, and this one only
        return (now.received, now.refunded) == (known.received, known.refunded)
    paid_back = settled.step == RETURN and settled.decision is RepairDecision.MARK_DONE
    return now.refunded <= known.refunded and (paid_back or now.received <= known.received)
