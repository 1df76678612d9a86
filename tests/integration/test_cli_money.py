"""`ordersaga promotions` and `rates`, as people and as programs call them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from tests.support.command import Command, served
from tests.support.orders import Shop

BY = ("--by", "anna")


@pytest.fixture
async def command(app: FastAPI, tmp_path: Path) -> AsyncIterator[Command]:
    """The command for the test's own API."""
    async with served(app) as url:
        yield Command(tmp_path, {"ORDERSAGA_API_URL": url})


async def test_a_promotion_with_a_coupon_is_added_changed_and_remembered(command: Command) -> None:
    """Tables for people, documents for programs; what is wrong is named, with exit code 1."""
    name, code = f"save-{secrets.token_hex(4)}", f"S{secrets.token_hex(4)}"
    ten = ("--name", "Save 10 %", "--kind", "percent")
    wrong = await command("promotions", "add", name, *ten, *BY)
    added = await command("promotions", "add", name, *ten, "--value", "10", *BY)
    limited = await command("promotions", "coupons", "add", code, name, "--usage-limit", "2", *BY, "--json")
    off = await command("promotions", "coupons", "change", code, "--off", *BY, "--json")
    history = await command("promotions", "history", name)

    assert wrong.code == 1 and "value" in wrong.err
    assert added.code == 0 and "10 %" in added.out
    assert (limited.document["code"], limited.document["usageLimit"]) == (code.upper(), 2)
    assert off.document["active"] is False
    assert history.out.count("anna") == 3


async def test_rates_are_brought_in_as_a_whole(command: Command, shop: Shop, tmp_path: Path) -> None:
    """A bad file names line and column and is not sent; the same file again changes nothing."""
    file = tmp_path / "rates.csv"
    heading = "option,country,currency,fee,free_from,service,days,valid_from\n"
    file.write_text(f"{heading}std,ZZ,USD,5.95,,Ground,4,2026-01-01\nstd,ZZ,USD,5.955,,,,2026-02-01\n")
    bad = await command("rates", "import", str(file))
    file.write_text(f"{heading}std,ZZ,USD,5.95,,Ground,4,2026-01-01\n\nstd,ZZ,USD,6.95,,,,2026-01-01\n")
    twice = await command("rates", "import", str(file), "--json")
    file.write_text(f"{heading}std,ZZ,USD,5.95,,Ground,4,2026-01-01\n")
    good = [await command("rates", "import", str(file)) for _ in range(2)]
    listed = await command("rates", "list")
    async with shop.sessions() as session, session.begin():
        await (await session.connection()).execute(text("DELETE FROM shipping_rates WHERE country = 'ZZ'"))

    assert bad.code == 2 and "line 3, column fee" in bad.err
    assert (twice.code, twice.failure["errors"][0]["field"]) == (1, "line 4")
    assert [(ran.code, "1 shipping rates brought in" in ran.out) for ran in good] == [(0, True)] * 2
    assert "ZZ" in listed.out and "5.95 USD" in listed.out
