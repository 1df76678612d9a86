"""The migration that gave texts a table: what was written before stays, and a way back loses no words."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.settings import Settings
from tests.support.warm_interpreter import PROJECT

BEFORE, AFTER = "0006", "0007"

OLD_ROWS = """
    INSERT INTO customers (customer_id, name, email, created_at) VALUES ('c', 'C', 'c@example.com', now());
    BEGIN;
    INSERT INTO orders (order_id, customer_id, fingerprint, status, payment_status, currency, total_minor,
                        payment_method, metadata, needs_attention, version, event_sequence, created_at, updated_at)
    VALUES ('o', 'c', 'f', 'PLACED', 'Pending', 'USD', 1, 'pm', '{}', false, 2, 1, now(), now());
    INSERT INTO timeline (order_id, sequence, previous, at, from_status, to_status, what)
    VALUES ('o', 1, 0, now(), NULL, 'PLACED', 'order placed'),
           ('o', 2, 1, now(), 'PLACED', 'PLACED', 'from {} before');
    COMMIT;
    INSERT INTO tickets (id, order_id, kind, step, detail, opened_at) VALUES (1, 'o', 'k', 's', 'd', now());
    INSERT INTO ticket_actions (id, ticket_id, at, by, action, note, evidence)
    VALUES (1, 1, now(), 'alice', 'mark_done', 'old note', 'old evidence');
"""
NEW_ROWS = """
    INSERT INTO texts (id, order_id, kind, text, created_at)
    VALUES ('t1', 'o', 'repair_evidence', 'said {} \\1', now()), ('t2', 'o', 'repair_note', 'and noted', now()),
           ('t3', 'o', 'refund_reason', NULL, now());
    BEGIN;
    INSERT INTO timeline (order_id, sequence, previous, at, from_status, to_status, what, text_ids)
    VALUES ('o', 3, 2, now(), 'PLACED', 'PLACED', 'done: {} ({})', '{t1,t2}'),
           ('o', 4, 3, now(), 'PLACED', 'PLACED', 'refunded: {}', '{t3}');
    UPDATE orders SET version = 4;
    COMMIT;
    INSERT INTO refunds (order_id, key, amount_minor, reason, reason_id, by, state, created_at, updated_at)
    VALUES ('o', 'k1', 1, '', 't3', 'alice', 'asked', now(), now()),
           ('o', 'k2', 1, 'old reason', NULL, 'alice', 'asked', now(), now());
    INSERT INTO ticket_actions (id, ticket_id, at, by, action, note, evidence, note_id, evidence_id)
    VALUES (2, 1, now(), 'alice', 'mark_done', '', '', 't2', 't1');
"""


@pytest.fixture
async def url(settings: Settings) -> AsyncIterator[str]:
    """Of an empty database of the test's own."""
    name, server = f"texts_{secrets.token_hex(4)}", settings.database_url.get_secret_value()
    connection = await asyncpg.connect(server, ssl=False)
    await connection.execute(f'CREATE DATABASE "{name}"')
    yield f"{server.rpartition('/')[0]}/{name}"
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


async def alembic(url: str, *words: str) -> None:
    command = [sys.executable, "-m", "alembic", *words]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=PROJECT, env={"DATABASE_URL": url}, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


@pytest.mark.long
async def test_no_word_is_lost_on_the_way_there_and_back(url: str) -> None:
    """Old rows are left as they are; evidence is still needed; going back puts the words where they were read."""
    await alembic(url, "upgrade", BEFORE)
    connection = await asyncpg.connect(url, ssl=False)
    await connection.execute(OLD_ROWS)
    await alembic(url, "upgrade", AFTER)
    await connection.execute(NEW_ROWS)
    with pytest.raises(asyncpg.CheckViolationError, match="ck_ticket_actions_done_by_evidence"):
        await connection.execute(
            "INSERT INTO ticket_actions (id, ticket_id, at, by, action, note, evidence)"
            " VALUES (3, 1, now(), 'alice', 'mark_done', 'no evidence', '')"
        )
    valid = "SELECT convalidated FROM pg_constraint WHERE conname = 'ck_ticket_actions_done_by_evidence'"
    assert await connection.fetchval(valid)

    await alembic(url, "downgrade", BEFORE)

    told = await connection.fetch("SELECT what FROM timeline ORDER BY sequence")
    assert [row["what"] for row in told][1:] == [
        "from {} before",
        "done: said {} \\1 (and noted)",
        "refunded: [erased]",
    ]
    trail = await connection.fetch("SELECT note, evidence FROM ticket_actions ORDER BY id")
    assert [tuple(row) for row in trail] == [("old note", "old evidence"), ("and noted", "said {} \\1")]
    refunds = await connection.fetch("SELECT reason FROM refunds ORDER BY key")
    assert [row["reason"] for row in refunds] == ["[erased]", "old reason"]
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="append-only"):
        await connection.execute("UPDATE ticket_actions SET note = ''")
    await connection.close()
