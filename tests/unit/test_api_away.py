"""Which errors mean "try again later" (503) and which mean that we are wrong (500)."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from temporalio.service import RPCError, RPCStatusCode

from api.http.availability import database_is_away
from domain.errors import Unavailable
from engine.calls import engine_calls
from events.payment_follow_up import SAME


def wrapped(driver_error: Exception, sqlstate: str | None = None, kind: type[DBAPIError] = DBAPIError) -> DBAPIError:
    """The error as SQLAlchemy's asyncpg dialect raises it."""
    translated = Exception(str(driver_error))
    translated.__cause__ = driver_error
    translated.sqlstate = sqlstate  # type: ignore[attr-defined]
    return kind("SELECT 1", {}, translated)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        PoolTimeout("no connection within 10 s"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.TooManyConnectionsError("sorry"),
        asyncpg.InterfaceError("connection is closed"),
        wrapped(asyncpg.InterfaceError("connection is closed")),
        wrapped(ConnectionResetError()),
        wrapped(asyncpg.ConnectionDoesNotExistError(""), "08003"),
        wrapped(asyncpg.AdminShutdownError(""), "57P01"),
        wrapped(asyncpg.LockNotAvailableError(""), "55P03"),
        wrapped(asyncpg.QueryCanceledError(""), "57014"),
        wrapped(asyncpg.DeadlockDetectedError(""), "40P01"),
        wrapped(asyncpg.IdleInTransactionSessionTimeoutError(""), "25P03"),
        wrapped(asyncpg.PostgresError("terminating connection due to transaction timeout"), "25P04"),
    ],
    ids=repr,
)
def test_knows_a_database_that_is_away_or_busy(error: Exception) -> None:
    """The same request may work later."""
    assert database_is_away(error)


@pytest.mark.parametrize(
    "error",
    [
        wrapped(asyncpg.UniqueViolationError(""), "23505", IntegrityError),
        wrapped(asyncpg.UndefinedColumnError(""), "42703", ProgrammingError),
        wrapped(asyncpg.DataError(""), "22000"),
        asyncpg.UndefinedTableError("no such table"),
        ValueError("ours"),
    ],
    ids=repr,
)
def test_does_not_hide_a_mistake_of_ours_behind_503(error: Exception) -> None:
    """It would be tried again for ever, and nobody would look."""
    assert not database_is_away(error)


@pytest.mark.parametrize(
    "error",
    [
        RPCError("gone", RPCStatusCode.UNAVAILABLE, b""),
        RPCError("slow", RPCStatusCode.DEADLINE_EXCEEDED, b""),
        RPCError("busy", RPCStatusCode.RESOURCE_EXHAUSTED, b""),
        RPCError("transport error", RPCStatusCode.UNKNOWN, b""),
        RuntimeError("Failed client connect: Server connection error"),
    ],
    ids=repr,
)
def test_says_unavailable_when_the_engine_is_away(error: Exception) -> None:
    """Whether it went away or was never there."""
    with pytest.raises(Unavailable) as refused, engine_calls():
        raise error

    assert refused.value.code == "engine_away"


@pytest.mark.parametrize(
    "error", [RPCError("bad", RPCStatusCode.INVALID_ARGUMENT, b""), RuntimeError("ours")], ids=repr
)
def test_lets_other_errors_of_the_engine_pass(error: Exception) -> None:
    """They are mistakes of ours."""
    with pytest.raises(type(error)) as raised, engine_calls():
        raise error

    assert raised.value is error


def test_knows_every_status_of_a_payment_intent() -> None:
    """https://docs.stripe.com/payments/paymentintents/lifecycle, and only states that our book has."""
    states = {"created", "requires_action", "authorized", "captured", "voided", "refunded", "declined"}

    assert set(SAME) == {
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
        "processing",
        "requires_capture",
        "succeeded",
        "canceled",
    }
    assert set().union(*SAME.values()) == states
