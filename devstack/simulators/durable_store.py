"""The SQLite file behind a simulator: objects, timers, webhook deliveries and the clock.

One process, one connection, one writer: an effect and everything that follows from it (events, ledger rows, the saved
idempotency result) are one commit, and the commit is made before the answer leaves. In WAL mode with
`synchronous=NORMAL` a killed process loses nothing that was committed; only a power cut could.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]
"""An object of the simulated API, as it appears in an answer."""

_SHARED_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value REAL NOT NULL);
CREATE TABLE IF NOT EXISTS documents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    owner TEXT, created REAL NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS documents_by_kind ON documents (kind, seq);
CREATE INDEX IF NOT EXISTS documents_by_owner ON documents (kind, owner, seq);
CREATE TABLE IF NOT EXISTS timers (
    id INTEGER PRIMARY KEY AUTOINCREMENT, due_at REAL NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS timers_by_due ON timers (due_at);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, due_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    queued_at REAL NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS deliveries_by_due ON deliveries (due_at, id);
"""


class DurableStore:
    """Typed access to the file. Times are seconds since the epoch on the simulator's own clock."""

    def __init__(self, path: Path, schema: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SHARED_SCHEMA + schema)
        self._clock_offset = self._read_clock_offset()

    def _read_clock_offset(self) -> float:
        row = self.row("SELECT value FROM settings WHERE name = 'clock_offset'")
        return float(row["value"]) if row else 0.0

    def now(self) -> float:
        return time.time() + self._clock_offset

    def advance_clock(self, seconds: float) -> float:
        """Move the clock forward for good (a restart keeps it); gives the new time."""
        offset = self._clock_offset + seconds
        self.run("INSERT OR REPLACE INTO settings VALUES ('clock_offset', ?)", offset)
        self._clock_offset = offset
        return self.now()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def run(self, sql: str, *values: object) -> None:
        self._connection.execute(sql, values)

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return found

    def add(self, kind: str, document: Document, owner: str | None = None) -> None:
        self.run(
            "INSERT INTO documents (id, kind, owner, created, body) VALUES (?, ?, ?, ?, ?)",
            document["id"], kind, owner, self.now(), json.dumps(document),
        )  # fmt: skip

    def save(self, document: Document) -> None:
        self.run("UPDATE documents SET body = ? WHERE id = ?", json.dumps(document), document["id"])

    def find(self, kind: str, document_id: str) -> Document | None:
        row = self.row("SELECT body FROM documents WHERE id = ? AND kind = ?", document_id, kind)
        return json.loads(row["body"]) if row else None

    def newest(self, kind: str, conditions: list[tuple[str, object]], limit: int) -> list[Document]:
        """The newest documents of a kind for which every `(SQL condition with one ?, value)` holds."""
        where = " AND ".join(["kind = ?", *(condition for condition, _ in conditions)])
        values = [kind, *(value for _, value in conditions), limit]
        # Conditions are literals of this package, or keys that were matched against a pattern; values are bound.
        sql = f"SELECT body FROM documents WHERE {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608
        rows = self.rows(sql, *values)
        return [json.loads(row["body"]) for row in rows]

    def close(self) -> None:
        self._connection.close()
