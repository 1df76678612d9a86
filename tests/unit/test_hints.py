"""Hints as payloads of notifications, and a process whose database is away."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr

from adapters.postgres.database import create_engine, dispose
from adapters.postgres.hints import EVERYTHING, MOST, PAYLOAD, Hints, payloads, subjects_of
from adapters.settings import Settings


def test_puts_as_many_subjects_into_a_payload_as_fit() -> None:
    """PostgreSQL refuses 8000 bytes."""
    subjects = [f"{number:032}" for number in range(500)]
    sent = list(payloads(subjects))
    assert [subject for payload in sent for subject in subjects_of(payload)] == subjects
    assert len(sent) == 3
    assert max(map(len, sent)) <= PAYLOAD


def test_everything_needs_no_names() -> None:
    """A payload without a word says so."""
    assert list(payloads(["a", EVERYTHING, "b"])) == [EVERYTHING]
    assert subjects_of(EVERYTHING) == []


async def test_a_database_that_is_away_costs_no_memory_and_no_error() -> None:
    """What waits for it is bounded: behind that, whoever listens is told to look at everything."""
    engine = create_engine(Settings(database_url=SecretStr("postgresql://x:x@127.0.0.1:9/x")))
    hints = Hints(engine)
    hints.give("orders", "first")
    for number in range(2 * MOST):
        hints.give("orders", str(number))
    assert EVERYTHING in hints.waiting["orders"]
    assert len(hints.waiting["orders"]) <= MOST
    await asyncio.wait_for(hints.aclose(), 10)
    await dispose(engine)
