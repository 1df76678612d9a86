"""The tables of API keys, and of what two people have to ask for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import maybe_time_column, time_column


class Approval(SQLModel, table=True):
    """Who has asked for a large refund or write-off, and who was the second to do so."""

    __tablename__ = "approvals"

    order_id: str = Field(primary_key=True, sa_type=Text)
    what: str = Field(primary_key=True, sa_type=Text)  # e.g. `refund KEY of 500.00`, `write_off of ticket 7`
    principal: str = Field(sa_type=Text)
    by: str = Field(sa_type=Text)
    second_by: str | None = Field(default=None, sa_type=Text)
    at: datetime = time_column()


class ApiKey(SQLModel, table=True):
    """A key of a program; of its secret only a hash is kept, so that who reads the table cannot use it."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("octet_length(secret_hash) = 32", name="hash_is_sha256"),
        CheckConstraint("slot IN (1, 2)", name="two_at_a_time"),
        Index("uq_api_keys_owner_slot", "owner", "slot", unique=True, postgresql_where=text("revoked_at IS NULL")),
    )

    key_id: str = Field(primary_key=True, sa_type=Text)
    owner: str = Field(sa_type=Text)  # whose program it is: keys of one owner are one principal
    slot: int
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    secret_hash: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = time_column()
    created_by: str = Field(sa_type=Text)
    expires_at: datetime = time_column()
    revoked_at: datetime | None = maybe_time_column()
    revoked_by: str | None = Field(default=None, sa_type=Text)
