"""The faults of a chaos run do what they say: each on the real part that it is about."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import httpx
import pytest

from chaos.dashboard import Hand
from chaos.faults import Fault, FaultKind, Happened
from chaos.journal import Journal, read
from chaos.links import Links
from chaos.long_faults import LongInjector, fail_over
from devstack.stack.stack import Stack
from domain.order_states import OrderStatus
from tests.support.orders import Shop
from tests.support.waiting import until


async def test_a_failover_keeps_what_was_committed(tmp_path: Path) -> None:
    """The copy recovers as after a crash: what was committed is there, what was open is not; it is another folder."""
    async with Stack(tmp_path, parts={"postgres"}, migrate=False) as stack:
        url, home = stack.urls.database_url, stack.plan.postgres
        assert home is not None
        before = home.data.stat().st_ino
        open_ = await asyncpg.connect(url, ssl=False)
        await open_.execute("CREATE TABLE seen (number int)")
        await open_.execute("INSERT INTO seen VALUES (1)")
        await open_.execute("BEGIN; INSERT INTO seen VALUES (2)")
        await fail_over(stack)
        assert home.data.stat().st_ino != before
        open_.terminate()
        later = await asyncpg.connect(url, ssl=False)
        assert [row["number"] for row in await later.fetch("SELECT number FROM seen")] == [1]
        await later.close()
        log = (stack.folder / "logs" / "postgres.log").read_text()
        assert "database system was interrupted" in log or "not properly shut down" in log


async def test_a_far_end_answers_wrongly_and_is_healed(
    stack: Stack, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """402, then 400, then nonsense; afterwards it is as before."""
    happened: list[Happened] = []
    monkeypatch.setattr("chaos.long_faults.LOOK_EVERY", 0.05)
    async with Links() as links:
        injector = LongInjector(stack, links, happened)
        running = asyncio.create_task(injector.run([Fault(0.0, FaultKind.ANSWERS, "carrier", 0.9)], 1))
        seen: list[int] = []
        async with httpx.AsyncClient(base_url=stack.urls.carrier, trust_env=False) as carrier:
            key = (shop.settings.carrier_api_key.get_secret_value(), "")
            while not running.done():
                answer = await carrier.get("/v2/shipments", auth=key)
                seen += [answer.status_code] if answer.status_code not in seen else []
                await asyncio.sleep(0.01)
            await running
            assert [status for status in seen if status != 200] == [402, 400]
            assert (await carrier.get("/v2/shipments", auth=key)).json()["shipments"] is not None
    assert [one.name for one in happened] == ["answers carrier"]


async def test_a_hand_at_the_dashboard_acts_and_is_in_the_journal(
    stack: Stack, shop: Shop, worker: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives back what was captured; the journal names the order before and after."""
    order = await shop.put(await shop.product())
    await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    monkeypatch.setattr("chaos.dashboard.EVERY", (0.0, 0.0))
    monkeypatch.setattr("chaos.dashboard.AMONG", 1)
    path = tmp_path / "journal.jsonl"
    async with httpx.AsyncClient(base_url=stack.urls.stripe, trust_env=False) as stripe:
        with Journal(path) as journal:
            hand = Hand(stripe, shop.settings.stripe_api_key.get_secret_value(), journal, 1)
            acting = asyncio.create_task(hand.run())
            await until(lambda: _acts(hand), True)
            acting.cancel()
    first, second = read(path)[:2]
    assert (first["kind"], first["status"], second["status"]) == ("hand", None, 200)
    assert first["act"] == "refund"


async def _acts(hand: Hand) -> bool:
    return hand.acts > 0
