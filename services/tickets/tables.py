"""The tables of tickets: work for a person, with its audit trail."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

import services.orders.tables  # noqa: F401  # what foreign keys point to
from adapters.postgres.columns import json_column, maybe_time_column, time_column
from domain.repairs import RepairDecision


class TrailAction(StrEnum):
    """What a row of a ticket's audit trail tells: its opening, a decision about it, or that it closed by itself."""

    OPENED = "opened"
    RETRY = RepairDecision.RETRY.value
    MARK_DONE = RepairDecision.MARK_DONE.value
    WRITE_OFF = RepairDecision.WRITE_OFF.value
    CLOSED = "closed"  # what it was about has succeeded, or has ended, without a decision


class Ticket(SQLModel, table=True):
    """Work for a person; at most one open ticket per order, kind, step and subject."""

    __tablename__ = "tickets"
    __table_args__ = (
        Index(
            "uq_tickets_one_open_each",
            "order_id",
            "kind",
            "step",
            "subject",
            unique=True,
            postgresql_where=text("resolved_at IS NULL"),
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_tickets_order_id_subject", "order_id", "subject"),  # also of what is resolved
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    order_id: str | None = Field(default=None, foreign_key="orders.order_id", sa_type=Text)  # None: of no one order
    kind: str = Field(sa_type=Text)
    step: str = Field(sa_type=Text)
    # Which of several things of one kind it is about, e.g. a PaymentIntent of no order; None where there is only one.
    subject: str | None = Field(default=None, sa_type=Text)
    detail: str = Field(sa_type=Text)
    # What was known of the payment at Stripe (`domain.settled_payments.Known`) when the ticket was opened or decided.
    seen: dict[str, Any] | None = json_column(default=None, nullable=True)
    opened_at: datetime = time_column()
    resolved_at: datetime | None = maybe_time_column()
    resolved_by: str | None = Field(default=None, sa_type=Text)


class TicketAction(SQLModel, table=True):
    """The audit trail of the repair desk: append-only, by a trigger (`migrations/versions/0003_proof.py`)."""

    __tablename__ = "ticket_actions"
    __table_args__ = (
        CheckConstraint(
            "action IN (" + ", ".join(f"'{action}'" for action in TrailAction) + ")", name="action_known"
        ),
        CheckConstraint(
            "action <> 'mark_done' OR evidence <> '' OR evidence_id IS NOT NULL", name="done_by_evidence"
        ),
        Index("ix_ticket_actions_ticket_id", "ticket_id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    ticket_id: int = Field(foreign_key="tickets.id", sa_type=BigInteger)
    at: datetime = time_column()
    by: str = Field(sa_type=Text)
    action: str = Field(sa_type=Text)
    note: str = Field(default="", sa_type=Text)  # ours: what opened the ticket
    evidence: str = Field(default="", sa_type=Text)  # of rows from before `evidence_id`
    note_id: str | None = Field(default=None, sa_type=Text)  # of a text: an operator's words
    evidence_id: str | None = Field(default=None, sa_type=Text)
