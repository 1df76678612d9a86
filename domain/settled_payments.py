"""What a person has settled about a payment, and what Stripe says of it since.

A decision is made on what is known then. When it turns out that Stripe has done the same thing as well, before the
decision or after it, a person has to hear of it: the customer may have been paid twice.
"""

from __future__ import annotations

from domain.commands import Message
from domain.repairs import SETTLED_TWICE, RepairDecision
from domain.steps import CAPTURE, PAYMENTS, RETURN


class Known(Message):
    """What was known of a payment at Stripe at one moment; amounts in minor units.

    `status` is Stripe's word; it is empty where only our own rows were read.
    """

    status: str = ""
    received: int = 0
    refunded: int = 0


class Settled(Message):
    """The latest decision of a person about a payment, with the ticket it settled and what was `known` then."""

    ticket_id: int
    kind: str
    step: str
    decision: RepairDecision
    known: Known


def happened_as_well(settled: Settled, now: Known) -> str:
    """What Stripe has done as well after a person settled it by other means, in words for a ticket.

    Empty while Stripe has done nothing of it.
    """
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
        if now.status == "canceled" and known.status != "canceled":
            return f"{about} has released the payment: nothing of it was ever taken"
    return ""


def stands(settled: Settled, now: Known) -> bool:
    """Whether the decision still covers the payment: nothing has changed since that a person has to hear of.

    An authorization ends by being released, at the latest by its bank: after a write-off that is no news.
    """
    known = settled.known
    if settled.step == PAYMENTS:  # a difference of amounts was settled, and this one only
        return (now.received, now.refunded) == (known.received, known.refunded)
    paid_back = settled.step == RETURN and settled.decision is RepairDecision.MARK_DONE
    return now.refunded <= known.refunded and (paid_back or now.received <= known.received)
