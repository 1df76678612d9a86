"""Column shapes that several tables share, and the names that constraints get."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, DateTime, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from adapters.clock import now

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def time_column(**more: Any) -> Any:
    return Field(default_factory=now, sa_type=DateTime(timezone=True), **more)


def maybe_time_column() -> Any:
    return Field(default=None, sa_type=DateTime(timezone=True))


def bigint_column(default: int | None = 0) -> Any:
    return Field(default=default, sa_type=BigInteger)


def amount_column() -> Any:
    """Minor units of money; 0 also in rows that an older version of the code writes."""
    return Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})


def json_column(**more: Any) -> Any:
    return Field(sa_type=JSONB, **more)


def maybe_texts_column() -> Any:
    return Field(default=None, sa_type=ARRAY(Text))


def maybe_json_column() -> Any:
    """One whose None is NULL, not the JSON value null: for what a partial index is about."""
    return Field(default=None, sa_type=JSONB(none_as_null=True), nullable=True)
