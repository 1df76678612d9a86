"""`ordersaga refund`, as people and as programs call it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from tests.support.command import Command, served
from tests.support.refunds import RefundSteps

NOWHERE = "http://127.0.0.1:1"
WHY = ("--reason", "dented box", "--by", "alice")


@pytest.fixture
async def command(app: FastAPI, tmp_path: Path) -> AsyncIterator[Command]:
    """The command for the test's own API."""
    async with served(app) as url:
        yield Command(tmp_path, {"ORDERSAGA_API_URL": url})


async def test_gives_a_refund_once_for_one_key(command: Command, refunds: RefundSteps, worker: None) -> None:
    """The key is made up and printed; with it the same command gives the same refund, and nothing more."""
    order_id = await refunds.captured()
    words = ("refund", order_id, "--amount", "5.00", *WHY)
    first = await command(*words)
    assert (first.code, first.err) == (0, "")
    assert all(said in first.out for said in ("5.00 USD", "succeeded", "dented box", "alice"))
    told = re.search(r"--key (cli-[0-9a-f]{24})", first.out)
    assert told is not None
    again = await command(*words, "--key", told[1], "--json")

    assert (again.code, again.document["key"], again.document["status"]) == (0, told[1], "succeeded")
    assert await refunds.given(order_id) == 500
    assert "5.00 USD" in (await command("orders", "show", order_id)).out


async def test_tells_why_a_refund_was_refused(command: Command, refunds: RefundSteps, worker: None) -> None:
    """Exit code 1 with what can still be refunded, for people and as JSON."""
    order_id = await refunds.captured()
    words = ("refund", order_id, "--amount", "20.01", *WHY)
    told, as_json = await asyncio.gather(command(*words), command(*words, "--json"))

    assert told.code == 1 and "20.00 USD can still be refunded" in told.err
    assert (as_json.code, as_json.out, as_json.failure["refundableAmount"]) == (1, "", "20.00")


async def test_tells_a_refund_that_is_on_its_way(command: Command, refunds: RefundSteps, worker: None) -> None:
    """Exit code 0: it was asked for, and it is carried on."""
    await refunds.stripe_answers("pending")
    ran = await command("refund", await refunds.captured(), "--amount", "5", *WHY)

    assert ran.code == 0 and "Under way" in ran.out


async def test_says_how_to_ask_again_for_a_refund_of_unknown_fate(tmp_path: Path) -> None:
    """The answer may be lost: the key was printed before anything was sent, and JSON has it in the mend."""
    command = Command(tmp_path, {"ORDERSAGA_API_URL": NOWHERE})
    words = ("refund", "x", "--amount", "5", *WHY)
    told, as_json = await asyncio.gather(command(*words), command(*words, "--json"))

    assert told.code == as_json.code == 1
    assert "--key cli-" in told.out
    assert "--key cli-" in as_json.failure["mend"]


@pytest.mark.parametrize("left_out", ["--amount", "--reason"])
async def test_needs_amount_and_reason(tmp_path: Path, left_out: str) -> None:
    """Exit code 2 before anything is asked of the API."""
    given = {"--amount": "5", "--reason": "dented box"}
    words = [word for name, value in given.items() if name != left_out for word in (name, value)]
    ran = await Command(tmp_path, {"ORDERSAGA_API_URL": NOWHERE})("refund", "x", *words, "--json")

    assert (ran.code, ran.failure["code"]) == (2, "usage")
