"""Every migration's own SQL, held to what a database in use can bear; `migrations/online.py` says why."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from migrations.online import PATIENT

ROOT = Path(__file__).resolve().parents[2]
REVISIONS = [str(one.revision) for one in ScriptDirectory(str(ROOT / "migrations")).walk_revisions()][::-1]
BOOKS = ("orders", "order_lines", "payments", "payment_attempts", "refunds", "shipments", "order_steps", "outbox")
MONEY = ("payments", "payment_attempts", "refunds")
KEPT_ELSEWHERE = {
    ("payment_attempts", "look"): "a look at Stripe's list begins anew",
    ("refunds", "reason_id"): "its words go back to where they were",
}

NOT_UNDER_LOAD = {
    r"CREATE (UNIQUE )?INDEX (?!CONCURRENTLY)": "builds an index while nobody can write",
    r"ALTER TABLE .* ADD CONSTRAINT (?!.*( NOT VALID| USING INDEX ))": "checks every row while the table is locked",
    r"ALTER TABLE .* SET NOT NULL": "checks every row while the table is locked",
    r"ALTER TABLE .* TYPE ": "writes every row anew while the table is locked",
    r"ALTER TABLE .* ADD COLUMN .* (REFERENCES|UNIQUE|CHECK|SERIAL|GENERATED) ?": "checks or writes every row",
    r"ALTER TABLE .* DEFAULT \w*(random|clock_timestamp|nextval)\w*\(": "writes every row anew",
    r"(VACUUM FULL|CLUSTER|REINDEX (?!.*CONCURRENTLY))": "locks the table for long",
}
REPEATABLE = re.compile(
    r"IF (NOT )?EXISTS|OR REPLACE|ON CONFLICT|^DO \$\$|^(UPDATE|DELETE) .* WHERE |DROP NOT NULL|VALIDATE CONSTRAINT"
    r"|^ALTER TABLE \w+ (RE)?SET \("
)
OPENED = re.compile(r"\b(?:ON|ALTER TABLE(?: IF EXISTS)?(?: ONLY)?|DROP TABLE(?: IF EXISTS)?) (\w+)")


def script_of(step: str, *, down: bool = False) -> str:
    """What Alembic would send for a step like `0002:0003`."""
    config = Config(str(ROOT / "alembic.ini"), output_buffer=io.StringIO())
    config.set_main_option("script_location", str(ROOT / "migrations"))
    (command.downgrade if down else command.upgrade)(config, step, sql=True)
    assert isinstance(config.output_buffer, io.StringIO)
    return config.output_buffer.getvalue()


def transactions(script: str) -> list[list[str]]:
    """Its statements, each on one line, by transaction; one outside of any is a transaction of its own."""
    found: list[list[str]] = [[]]
    inside = False
    for statement in script.split(";\n\n"):
        words = " ".join(line for line in statement.splitlines() if not line.startswith("--"))
        words = " ".join(words.split())
        if words in ("BEGIN", "COMMIT"):
            inside = words == "BEGIN"
            found.append([])
        elif words:
            found[-1].append(words)
            if not inside:
                found.append([])
    return [one for one in found if one]


def broken_rules(script: str) -> list[str]:
    """What an upgrade does that a table with millions of rows, in use, could not bear."""
    parts = transactions(script)
    new = set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", script))
    broken = [f"{why}: {one}" for part in parts for one in part for why in _costs(one, new)]
    for part in parts[:-1]:
        broken += [f"cannot be done again: {one}" for one in part if not REPEATABLE.search(one)]
    for part in parts:
        locked = {table for one in part if not PATIENT.match(one) for table in OPENED.findall(one)} - new
        if len(locked) > 2:
            broken.append(f"keeps {len(locked)} tables locked while it waits for the next one: {sorted(locked)}")
    return broken


def _costs(statement: str, new: set[str]) -> list[str]:
    on = OPENED.search(statement)
    if on is None or on[1] in new:
        return []
    return [why for pattern, why in NOT_UNDER_LOAD.items() if re.search(pattern, statement)]


@pytest.mark.parametrize("revision", REVISIONS[1:])
def test_no_upgrade_keeps_others_waiting(revision: str) -> None:
    """The first revision makes the tables: nobody is there to wait. Each later one may meet millions of rows."""
    before = REVISIONS[REVISIONS.index(revision) - 1]
    assert broken_rules(script_of(f"{before}:{revision}")) == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_no_downgrade_drops_what_money_needs(revision: str) -> None:
    """Before a table of the books or a column about money goes, the script refuses when it holds anything."""
    before = ["base", *REVISIONS][REVISIONS.index(revision)]
    statements = [one for part in transactions(script_of(f"{revision}:{before}", down=True)) for one in part]
    guarded: set[str] = set()
    for statement in statements:
        guarded |= set(re.findall(r"LOCK TABLE (\w+) IN SHARE MODE", statement))
        table = re.match(r"DROP TABLE (?:IF EXISTS )?(\w+)", statement)
        assert table is None or table[1] not in BOOKS or table[1] in guarded, statement
        column = re.match(r"ALTER TABLE (\w+) DROP COLUMN (\w+)", statement)
        if column is not None and column[1] in MONEY and column.groups() not in KEPT_ELSEWHERE:
            assert column[1] in guarded, statement


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        ("CREATE INDEX i ON orders (a)", "builds an index"),
        ("CREATE UNIQUE INDEX IF NOT EXISTS i ON orders (a)", "builds an index"),
        ("ALTER TABLE orders ADD CONSTRAINT c CHECK (a > 0)", "checks every row"),
        ("ALTER TABLE orders ADD CONSTRAINT c UNIQUE (a)", "checks every row"),
        ("ALTER TABLE orders ALTER COLUMN a SET NOT NULL", "checks every row"),
        ("ALTER TABLE orders ALTER COLUMN a TYPE BIGINT", "writes every row"),
        ("ALTER TABLE orders ADD COLUMN a TEXT DEFAULT gen_random_uuid()", "writes every row"),
        ("ALTER TABLE orders ADD COLUMN a INTEGER DEFAULT 1 NOT NULL", None),
        ("ALTER TABLE orders ADD CONSTRAINT c CHECK (a > 0) NOT VALID", None),
        ("ALTER TABLE orders VALIDATE CONSTRAINT c", None),
        ("CREATE TABLE t (a TEXT);\n\nCREATE INDEX i ON t (a)", None),
        ("COMMIT;\n\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (a);\n\nBEGIN", None),
        ("ALTER TABLE orders ADD COLUMN a TEXT;\n\nCOMMIT;\n\nBEGIN;\n\nSELECT 1", "cannot be done again"),
        ("COMMIT;\n\nCREATE INDEX CONCURRENTLY i ON orders (a);\n\nBEGIN;\n\nSELECT 1", "cannot be done again"),
        (";\n\n".join(f"ALTER TABLE t{n} ADD COLUMN a TEXT" for n in range(3)), "keeps 3 tables locked"),
    ],
)
def test_the_rules_tell_what_a_large_table_can_bear(statements: str, why: str | None) -> None:
    """Each rule finds its own kind of statement, and lets pass what is only written down in the catalogue."""
    broken = broken_rules(f"BEGIN;\n\n{statements};\n\nUPDATE alembic_version SET version_num='2';\n\nCOMMIT;\n\n")
    if why is None:
        assert broken == []
    else:
        assert broken and all(why in one for one in broken), broken
