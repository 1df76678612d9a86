"""Rows from before the sealing are sealed, and a master key is replaced, while everything runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.postgres.database import create_engine, create_sessions, dispose
from adapters.settings import Settings
from adapters.temporal import key_ring
from adapters.temporal.key_files import add_key, make_keys, remove_key, use_key
from adapters.temporal.key_ring import read_keys
from domain.errors import Unavailable
from domain.order_states import OrderStatus
from services.privacy.upkeep import work_once
from services.sealing import sealing
from tests.support.counter import Counter
from tests.support.privacy import ACCOUNTING, ADDRESS, CONTACT, EMAIL, Zephyrine

REJECTED = OrderStatus.REJECTED


@pytest.fixture
async def someone(counter: Counter, tmp_path: Path) -> Zephyrine:
    return Zephyrine(counter, tmp_path / "tombstones")


@pytest.fixture
async def ring(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Zephyrine]:
    """A customer whose keys are wrapped by a ring of the test's own, which is looked at all the time."""
    monkeypatch.setattr(key_ring, "LOOK_EVERY", -1.0)
    make_keys(tmp_path / "ring")
    engine = create_engine(settings.model_copy(update={"customer_keys_file": tmp_path / "ring"}))
    someone = Zephyrine(Counter(create_sessions(engine)), tmp_path / "tombstones")
    yield someone
    await someone.desk.erase(someone.id)  # other tests list customers, and do not have this ring
    await dispose(engine)


async def test_rows_from_before_are_sealed_by_and_by(settings: Settings, someone: Zephyrine, tmp_path: Path) -> None:
    """They read the same before and after; while others learn to read, nothing is sealed."""
    engine = create_engine(settings.model_copy(update={"sealing_later": True}))
    try:
        before = Zephyrine(Counter(create_sessions(engine)), tmp_path)
        [order_id] = await before.orders(REJECTED)
        someone.id = before.id
        assert (await before.in_clear(CONTACT)).keys() == {"customers", "orders", "texts"}
        with pytest.raises(Unavailable, match="nothing is sealed here"):
            await before.desk.erase(before.id)
    finally:
        await dispose(engine)
    row = await someone.counter.order(order_id)
    assert await someone.counter.book.address_of(row) == ADDRESS and EMAIL in await someone.held()
    while await work_once(someone.engine):
        pass
    assert await someone.in_clear([*CONTACT, *ACCOUNTING]) == {}
    row = await someone.counter.order(order_id)
    held = await someone.held()
    assert await someone.counter.book.address_of(row) == ADDRESS
    assert all(word in held for word in (*CONTACT, *ACCOUNTING))


async def test_a_customer_from_before_can_be_erased_at_once(settings: Settings, tmp_path: Path) -> None:
    """What the law keeps is sealed first."""
    later = create_engine(settings.model_copy(update={"sealing_later": True}))
    engine = create_engine(settings)
    try:
        before = Zephyrine(Counter(create_sessions(later)), tmp_path)
        await before.orders(REJECTED)
        after = Zephyrine(Counter(create_sessions(engine)), tmp_path)
        after.id = before.id
        await after.desk.erase(after.id)
        held = await after.held()
        assert [word for word in CONTACT if word in held] == [] and all(word in held for word in ACCOUNTING)
        assert await after.in_clear([*CONTACT, *ACCOUNTING]) == {}
    finally:
        await dispose(later)
        await dispose(engine)


async def test_the_master_key_is_replaced_while_everything_runs(ring: Zephyrine, tmp_path: Path) -> None:
    """Old and new are read meanwhile; without the old one everything still opens."""
    await ring.orders(REJECTED)
    (old,) = read_keys(tmp_path / "ring")
    use_key(tmp_path / "ring", new := add_key(tmp_path / "ring"))
    wrapped = "SELECT DISTINCT key_id FROM customer_keys WHERE customer_id = :id"
    assert await ring.ask(wrapped) == [old] and EMAIL in await ring.held()
    async with ring.engine.connect() as connection:
        left = await sealing.to_rewrap(connection)
    assert left >= 2
    for _ in range(left):
        async with ring.engine.begin() as connection:
            assert await sealing.rewrap(connection, 1) == 1
        assert EMAIL in await ring.held()
    async with ring.engine.begin() as connection:
        assert (await sealing.rewrap(connection), await sealing.to_rewrap(connection)) == (0, 0)
    assert await ring.ask(wrapped) == [new]
    remove_key(tmp_path / "ring", old)
    async with ring.engine.connect() as connection:
        vault = sealing.vault_of(connection)
    assert vault is not None
    vault.forget(ring.id)
    assert EMAIL in await ring.held()
