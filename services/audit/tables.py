"""The tables of the audit. Triggers refuse every change and deletion; rows are only added."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import bigint_column, time_column


class AuditEntry(SQLModel, table=True):
    """What somebody did by the API, or was refused: who, which route, about what, with which answer."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_by_id", "by", text("id DESC")),
        Index("ix_audit_about_id", "about", text("id DESC")),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    at: datetime = time_column()
    issuer: str = Field(sa_type=Text)  # both empty for nobody
    subject: str = Field(sa_type=Text)
    by: str = Field(sa_type=Text)
    method: str = Field(sa_type=Text)
    route: str = Field(sa_type=Text)  # its template
    about: str = Field(sa_type=Text)  # the path, which has ids and nothing else
    status: int
    request_id: str = Field(sa_type=Text)
    times: int = bigint_column(1)  # equal refusals of a minute are one entry


class AuditSeal(SQLModel, table=True):
    """A link of the hash chain over the entries (`services/audit/chain.py`)."""

    __tablename__ = "audit_seals"
    __table_args__ = (CheckConstraint("octet_length(digest) = 32", name="digest_is_sha256"),)

    number: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    last_id: int = bigint_column(None)
    entries: int = bigint_column(None)
    digest: bytes = Field(sa_type=LargeBinary)
    sealed_at: datetime = time_column()
