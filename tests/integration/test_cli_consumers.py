"""`ordersaga events dead|retry|skip|reset` and `ordersaga rebuild`, as operators call them."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.settings import Settings
from services.archive import archive
from services.consumers import dead_letters, positions
from services.consumers.dead_letters import Fault, Letter
from services.consumers.positions import Place
from tests.support.command import Command
from tests.support.consumers import order_event


@pytest.fixture
def command(settings: Settings, tmp_path: Path) -> Command:
    """The command for the tests' own database."""
    return Command(tmp_path, {"DATABASE_URL": settings.database_url.get_secret_value()})


@pytest.fixture
def consumer() -> str:
    return f"consumer-{secrets.token_hex(4)}"


async def _park(engine: AsyncEngine, consumer: str) -> list[int]:
    """One that was refused, and two of its subject behind it; their numbers."""
    events = [order_event("a", n) for n in (1, 2, 3)]
    faults = [Fault("not_this_one", "the ledger does not take it"), Fault("held"), Fault("held")]
    async with engine.begin() as connection:
        letters = [Letter(event, event.to_json(), 0, fault) for event, fault in zip(events, faults, strict=True)]
        await dead_letters.park(connection, consumer, letters)
        return [one.id for one in await dead_letters.listed(connection, consumer)][::-1]


async def test_lists_retries_and_skips_dead_letters(engine: AsyncEngine, command: Command, consumer: str) -> None:
    """What is asked for is written down for the consumer that runs; a skip releases what waited."""
    first, second, third = await _park(engine, consumer)

    listed = await command("events", "dead", "--consumer", consumer)
    assert listed.code == 0 and "not_this_one" in listed.out and listed.out.count("held") == 2
    asked = await command("events", "retry", str(first), "--by", "ops", "--json")
    assert asked.document == {"asked": [first]}
    skipped = await command("events", "skip", str(first), "--by", "ops", "--json")
    assert skipped.document == {"skipped": first, "released": [second, third]}

    again = await command("events", "skip", str(first), "--by", "ops", "--json")
    assert (again.code, again.failure["code"]) == (1, "no_such_dead_letter")
    seen = (await command("events", "dead", "--consumer", consumer, "--resolved", "--json")).document["deadLetters"]
    assert [(one["id"], one.get("resolution"), "retry_at" in one) for one in seen][::-1] == [
        (first, "skipped", True),
        (second, None, True),
        (third, None, True),
    ]
    assert "body" not in seen[0]


async def test_resets_a_consumer(engine: AsyncEngine, command: Command, consumer: str) -> None:
    """To a time from the archive, or to a position of a partition."""
    async with engine.begin() as connection:
        await positions.begin(connection, consumer, 3, Place("one", 70))

    reset = await command("events", "reset", consumer, "--to", "2026-11-01T00:00Z", "--json")
    assert reset.document == {"consumer": consumer, "to": "2026-11-01T00:00Z", "partitions": [3]}
    assert (await command("events", "reset", consumer, "--to", "12", "--partition", "3")).code == 0
    async with engine.connect() as connection:
        place = (await positions.read(connection, consumer))[3]
    assert (place.position, place.replay, place.version) == (12, None, 2)


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["events", "reset", "CONSUMER", "--to", "tomorrow"], 2, "--to"),
        (["events", "reset", "CONSUMER", "--to", "12"], 2, "--partition"),
        (["events", "reset", "CONSUMER", "--to", "first"], 1, "consumers: "),
        (["events", "retry", "--by", "ops"], 2, "--all"),
        (["rebuild"], 2, "--check"),
        (["rebuild", "--check", "--consumer", "CONSUMER"], 2, "stock_hints"),
    ],
)
async def test_a_wrong_call_names_what_is_wrong(
    command: Command, consumer: str, words: list[str], code: int, named: str
) -> None:
    """And what there is instead."""
    ran = await command(*(word.replace("CONSUMER", consumer) for word in words))
    assert ran.code == code
    assert named in ran.err


async def test_the_check_tells_a_difference(engine: AsyncEngine, command: Command) -> None:
    """A hint that no event of the archive explains."""
    product = f"p-{secrets.token_hex(4)}"
    async with engine.begin() as connection:
        statement = text("""
            INSERT INTO stock_hints VALUES (:product, :product, 'low', 1, now() - interval '1 hour')
        """)
        await connection.execute(statement, {"product": product})
    try:
        ran = await command("rebuild", "--check", "--consumer", "stock_hints", "--json")
    finally:
        async with engine.begin() as connection:
            await connection.execute(
                text("DELETE FROM stock_hints WHERE product_id = :product"), {"product": product}
            )

    found = ran.document["consumers"]["stock_hints"]["differences"]
    assert ran.code == 1 and ran.document["same"] is False
    assert [one["where"] for one in found if product in one["row"]] == ["unexplained"]


def test_a_month_ends_where_the_next_one_begins() -> None:
    """Also in December, and by UTC wherever the writer is."""
    event = order_event("a", 1).model_copy(update={"time": archive.ALL_TIME.replace(year=2026, month=12, day=31)})
    assert archive.month_of(event).isoformat() == "2026-12-01"
