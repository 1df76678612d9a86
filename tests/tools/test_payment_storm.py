"""The payment storm in small: every fault of Stripe's at random, workers killed, and the books to the penny."""

from __future__ import annotations

from chaos.run import failed
from chaos.storm import RATES, storm


async def test_every_penny_is_accounted_for_after_a_storm() -> None:
    """50 orders: all settle, no second live authorization, nothing kept for what was undone, both ledgers equal."""
    document = await storm(7, 50, quick=True)
    assert document["violations"] == []
    assert not failed(document), document["unsettled"]
    assert document["orders"] == 50
    assert document["money"]["held"] == 0
    assert document["money"]["captured"] > document["money"]["refunded"] >= 0
    assert document["faults"]["kill worker"]["faults"] >= 2
    assert set(document["stripeFaults"]) <= set(RATES)
    assert sum(document["stripeFaults"].values()) > 20
