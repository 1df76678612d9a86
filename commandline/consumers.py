"""`ordersaga events dead|retry|skip|reset` and `ordersaga rebuild`: what operators do about consumers.

They write rows that the running consumers act on, so they work through the database and not through the API.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import RenderableType
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.clock import now
from adapters.event_routes import RoutesRefused
from adapters.postgres.database import Timeouts, create_engine, dispose
from adapters.settings import Settings
from commandline.configuration import usable_configuration
from commandline.failures import Failure, Misused
from commandline.output import Printer, table, time_of
from domain.errors import NotFound
from events import rebuild as rebuilding
from events.consumers.event_archive import EventArchive
from events.consumers.notifications import Notifications
from events.consumers.stock_hints import StockHints
from events.consumers_main import KINDS, rules_of
from services.archive.archive import ALL_TIME
from services.consumers import dead_letters, resets
from services.consumers.dead_letters import Parked

EXAMPLES = 20  # differences that people are shown of each consumer; `--json` has all
SETTLED = timedelta(minutes=1)  # younger events may not have reached every consumer


async def list_dead(out: Printer, consumer: str | None, *, resolved: bool, most: int) -> None:
    async with _database() as (engine, _), engine.connect() as connection:
        found = await dead_letters.listed(connection, consumer, resolved=resolved, most=most)
    out.show({"deadLetters": [_document(one) for one in found]}, lambda: _listed(found))


async def retry(out: Printer, by: str, letter: int | None, consumer: str | None, *, everything: bool) -> None:
    if (letter is not None) + (consumer is not None) + everything != 1:
        raise Misused("name one dead letter, or --consumer, or --all")
    async with _database() as (engine, _), engine.begin() as connection:
        asked = await dead_letters.ask_for_retry(connection, by, letter_id=letter, consumer=consumer)
    if letter is not None and not asked:
        raise _no_such_letter(letter)
    document = {"asked": [one.id for one in asked]}
    words = f"{len(asked)} to be tried again; the consumer does it within seconds: ordersaga events dead"
    out.show(document, lambda: [Text(words)])


async def skip(out: Printer, by: str, letter_id: int) -> None:
    async with _database() as (engine, _), engine.begin() as connection:
        letter = await dead_letters.one(connection, letter_id)
        if letter is None or letter.resolved_at is not None:
            raise _no_such_letter(letter_id)
        released = await dead_letters.skip(connection, letter, by)
    words = f"Event {letter.event_id} is given up; {len(released)} that waited behind it go on."
    out.show({"skipped": letter_id, "released": [one.id for one in released]}, lambda: [Text(words)])


async def reset(out: Printer, consumer: str, to: str, partition: int | None) -> None:
    async with _database() as (engine, _), engine.begin() as connection:
        if to.isdigit():
            if partition is None:
                raise Misused("--to: a position is one of a partition: name it with --partition")
            partitions = await resets.to_position(connection, consumer, partition, int(to))
        else:
            if partition is not None:
                raise Misused("--partition: goes with a position; a time is of all partitions")
            partitions = await resets.to_time(connection, consumer, _time(to), EventArchive.name)
    words = f"{consumer} goes back to {to} in {len(partitions)} partitions, within a second where it runs."
    out.show({"consumer": consumer, "to": to, "partitions": partitions}, lambda: [Text(words)])


async def rebuild(out: Printer, consumer: str | None, *, check: bool) -> int:
    """The exit code: 1 where something differs."""
    if not check:
        raise Misused(
            "it only compares: say --check", mend="to have effects applied again: ordersaga events reset CONSUMER"
        )
    until = now() - SETTLED
    async with _database() as (engine, settings):
        consumers = [Notifications(), StockHints(settings.stock_low)]
        known = {one.name: one for one in consumers}
        if consumer is not None and consumer not in known:
            raise Misused(f"--consumer: {consumer!r} keeps nothing that can be made again; there are {sorted(known)}")
        rules = rules_of(KINDS, settings)
        wanted = consumers if consumer is None else [known[consumer]]
        found = {one.name: await rebuilding.check(engine, one, rules[one.name], until) for one in wanted}
    same = not any(one.differences for one in found.values())
    out.show({"same": same, "consumers": {name: _checked(one) for name, one in found.items()}}, lambda: _told(found))
    return 0 if same else 1


@asynccontextmanager
async def _database() -> AsyncIterator[tuple[AsyncEngine, Settings]]:
    settings = usable_configuration().settings
    engine = create_engine(settings, Timeouts(statement=None, transaction=None, idle_in_transaction=None))
    try:
        yield engine, settings
    except NotFound as error:
        raise Failure(error.code, str(error)) from None
    except RoutesRefused as error:
        raise Failure("routes_refused", str(error), mend="mend the file that ORDERSAGA_EVENT_ROUTES names") from None
    except (OSError, TimeoutError, SQLAlchemyError) as error:
        kind = type(getattr(error, "orig", None) or error).__name__
        mend = "`ordersaga doctor` says what is wrong"
        raise Failure("database_unreachable", f"the database does not answer ({kind})", mend=mend) from None
    finally:
        await dispose(engine)


def _time(given: str) -> datetime:
    if given == "first":
        return ALL_TIME
    try:
        parsed = datetime.fromisoformat(given)
    except ValueError:
        raise Misused(f"--to: {given!r} is not `first`, a time like 2026-11-20T00:00Z, or a number") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _no_such_letter(letter_id: int) -> Failure:
    return Failure("no_such_dead_letter", f"no dead letter {letter_id} waits", mend="ordersaga events dead")


def _document(one: Parked) -> dict[str, Any]:
    return {name: value for name, value in one._asdict().items() if value is not None}


def _listed(found: Sequence[Parked]) -> Iterator[RenderableType]:
    if not found:
        yield Text("No dead letters.")
        return
    rows = table(
        "Number", "Consumer", "Reason", "Detail", "Type", "Subject", "Tries", "Parked", "", whole=("Subject",)
    )
    for one in found:
        state = one.resolution or ("to be tried again" if one.retry_at else "waits")
        parked = time_of(one.parked_at.isoformat())
        words = (one.reason, one.detail, one.type, one.subject, str(one.attempts), parked, state)
        rows.add_row(str(one.id), one.consumer, *(Text(word) for word in words))
    yield rows


def _checked(one: rebuilding.Checked) -> dict[str, Any]:
    differences = [{"table": each.table, "where": each.where, "row": each.row} for each in one.differences]
    return {"events": one.events, "rows": one.rows, "differences": differences}


def _told(found: dict[str, rebuilding.Checked]) -> Iterator[RenderableType]:
    for name, one in found.items():
        style = "red" if one.differences else "green"
        words = f"{len(one.differences)} differences" if one.differences else "no difference"
        yield Text(f"{name}: {one.rows} rows from {one.events} events, {words}", style)
        for each in one.differences[:EXAMPLES]:
            yield Text(f"  {each.where}: {each.row}")
