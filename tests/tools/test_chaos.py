"""A short run of chaos: the real one is `make chaos`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.run import Plan, chaos, failed


@pytest.mark.long
async def test_a_short_run_of_chaos_ends_with_every_book_right(tmp_path: Path) -> None:
    """40 orders through 6 faults: all settles by itself, the auditor finds nothing, the report has the seed."""
    document = await chaos(Plan(seed=1, orders=40, faults=6, settle=120), tmp_path / "chaos.json")
    assert document["violations"] == []
    assert not failed(document), document["unsettled"]
    assert document["orders"] == 40
    assert document["clientsThatGaveUp"] == 0
    assert document["events"]["archived"] == document["events"]["written"] >= 40
    assert document["events"]["rowsHeard"] > document["listeners"]["pages"] > 0
    assert sum(fault["faults"] for fault in document["faults"].values()) == 6
    assert json.loads((tmp_path / "chaos.json").read_text())["seed"] == 1
