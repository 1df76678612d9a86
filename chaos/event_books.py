"""What became of a run's events: the rest of the outbox, what the broker has, and what each consumer holds of it."""

import asyncio
import base64
import email.parser
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import nats.errors
from nats.aio.client import Client

from chaos.books import Books, Row

STREAM = "ORDERSAGA"
AT_ONCE = 100  # messages
PATIENCE = 10.0  # seconds for one answer of the broker
LOOK_EVERY = 1.0  # seconds
TRIES = 20

SQL = {
    "events": """
        SELECT event_id, type, source, subject, sequence, data, published_at IS NOT NULL AS published, replay,
               parked_at IS NOT NULL AS parked, parked_because
          FROM outbox ORDER BY source, subject, sequence
    """,
    "archive": "SELECT event_id, type, source, subject, sequence, partition, data FROM event_archive",
    "notifications": "SELECT event_id, order_id, customer_id, kind, state, why FROM notifications ORDER BY id",
    "hints": "SELECT event_id, product_id, kind, on_hand FROM stock_hints",
    "positions": "SELECT consumer, partition, incarnation, position, event_id FROM consumer_positions",
    "last_sequences": "SELECT consumer, source, subject, sequence FROM consumer_sequences",
    "dead_letters": """
        SELECT consumer, event_id, subject, reason, detail FROM dead_letters WHERE resolved_at IS NULL
    """,
}

LEFT = """
    SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL AND parked_at IS NULL)
         + (SELECT count(*) FROM outbox) - (SELECT count(*) FROM event_archive)
         + (SELECT count(*) FROM notifications WHERE ended_at IS NULL)
         + (SELECT count(*) FROM consumer_positions WHERE lag > 0 OR replay IS NOT NULL OR seen_at < $1)
"""
"""What is still under way; each partition has to be looked at by its owner after the time $1."""


async def delivered(database_url: str, patience: float, listening: Callable[[], int]) -> float:
    """The seconds until every event had reached every consumer, and every listener its end; or `patience`."""
    began = asyncio.get_running_loop().time()
    async with _connected(database_url) as connection:
        since = await connection.fetchval("SELECT now()")
        while True:
            seconds = asyncio.get_running_loop().time() - began
            left: int = await connection.fetchval(LEFT, since)
            if (left == 0 and listening() == 0) or seconds > patience:
                return seconds
            await asyncio.sleep(LOOK_EVERY)


async def with_events(books: Books, database_url: str, nats_url: str, folder: Path) -> Books:
    """The same books with all that is known of the events; `folder` is the stack's, `nats_url` a consumer's."""
    tables: dict[str, Any]
    async with (
        _connected(database_url) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        tables = {name: [dict(row) for row in await connection.fetch(sql)] for name, sql in SQL.items()}
    for row in (*tables["events"], *tables["archive"]):
        row["data"] = json.loads(row["data"])
    stream = await read_stream(nats_url)
    mails = await asyncio.to_thread(read_mails, folder / "mail")
    return replace(books, **tables, stream=stream, mails=mails)


Ask = Callable[..., Awaitable[dict[str, Any]]]


@asynccontextmanager
async def _asking(url: str) -> AsyncIterator[Ask]:
    """What asks JetStream's API about the stream, as a consumer may."""
    about = urlsplit(url)
    client = Client()
    where = f"nats://{about.hostname}:{about.port}"
    await client.connect(where, user=about.username, password=about.password, allow_reconnect=False)

    async def ask(what: str, **request: Any) -> dict[str, Any]:
        answer = await client.request(f"$JS.API.{what}.{STREAM}", json.dumps(request).encode(), timeout=PATIENCE)
        said: dict[str, Any] = json.loads(answer.data)
        return said

    try:
        yield ask
    finally:
        await client.close()


async def last_position(url: str) -> int:
    """Of the whole stream; it waits for a broker that has just been killed. 0 where there is no stream yet."""
    for _ in range(TRIES):
        try:
            async with _asking(url) as ask:
                return int((await ask("STREAM.INFO")).get("state", {}).get("last_seq", 0))
        except (nats.errors.Error, OSError, TimeoutError):
            await asyncio.sleep(LOOK_EVERY)
    raise TimeoutError("NATS does not answer")


async def read_stream(url: str) -> list[Row]:
    """Each message in its order: position, partition, the stream's incarnation, and what its body says."""
    async with _asking(url) as ask:
        info = await ask("STREAM.INFO")
        first, last = info["state"]["first_seq"], info["state"]["last_seq"]
        rows: list[Row] = []
        for begin in range(first, last + 1, AT_ONCE):
            wanted = range(begin, min(begin + AT_ONCE, last + 1))
            answers = await asyncio.gather(*(ask("STREAM.MSG.GET", seq=position) for position in wanted))
            rows += [_row(answer["message"]) | {"incarnation": info["created"]} for answer in answers]
        return rows


def _row(message: dict[str, Any]) -> dict[str, Any]:
    event = json.loads(base64.b64decode(message["data"]))
    about = {name: event[name] for name in ("type", "source", "subject", "data")}
    partition = int(message["subject"].split(".")[1])
    sequence = int(event["sequence"])
    return {"position": message["seq"], "partition": partition, "event_id": event["id"], "sequence": sequence} | about


def read_mails(folder: Path) -> list[Row]:
    """One row a file."""
    parser = email.parser.BytesHeaderParser()
    found = [parser.parsebytes(file.read_bytes()) for file in sorted(folder.glob("*.eml"))]
    return [{"order_id": mail["X-Order-Id"], "kind": mail["X-Message-Kind"]} for mail in found]


@asynccontextmanager
async def _connected(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url, ssl=False, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()
