"""`ordersaga import-orders`, stopped and begun again: kills, outages, lost journals, and more invoices later."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from temporalio.client import Client

from adapters.settings import Settings
from api.app import create_app
from devstack.stack.stack import Stack
from tests.support.command import PROJECT, Command, served
from tests.support.identities import token
from tests.support.order_files import SMALL_SHOP, Files, books_of, imported, run
from tests.support.orders import Shop
from tests.support.waiting import until
from worker import build_activities, build_worker

pytestmark = pytest.mark.slow


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
async def url(app: FastAPI) -> AsyncIterator[str]:
    async with served(app) as address:
        yield address


async def test_finds_its_orders_again_when_the_journal_is_lost(
    url: str, shop: Shop, files: Files, worker: None
) -> None:
    """The keys make the repeat safe, also of the held order, whose request was another one then: the same report."""
    file = files.write(*SMALL_SHOP)
    first = await run(url, file)
    (journal,) = files.folder.glob("*.jsonl")
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    entries[0]["holdUntil"] = "2020-01-01T00:00:00+00:00"
    journal.write_text(json.dumps(entries[0]) + "\n")  # as if begun on another day
    second = await run(url, file)
    assert second.document == first.document
    assert len(await imported(shop, file)) == 3


async def test_goes_on_after_a_kill(url: str, shop: Shop, stack: Stack, files: Files, worker: None) -> None:
    """SIGKILL in the middle of placing; the same command ends with each invoice placed once and every book equal."""
    file = files.write(*[(str(number), "LAMP", 1, "2.55", "7.0") for number in range(12)])
    report, journal = file.with_suffix(".report.json"), files.folder / "journal"
    words = [str(PROJECT / "cli.py"), "import-orders", str(file), "--api", url, "--concurrency", "2"]
    words += ["--journal", str(journal), "--report", str(report)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stderr=asyncio.subprocess.DEVNULL, env={**os.environ, "ORDERSAGA_TOKEN": token()}
    )

    async def is_in_the_middle() -> bool:
        return journal.exists() and journal.read_text().count('"placed"') >= 3

    await until(is_in_the_middle, True)
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL
    assert (report.exists(), journal.read_text().count('"placed"') < 12) == (False, True)

    done = await run(url, file, journal=journal)
    assert (len(done.document["placed"]), done.balanced) == (12, True)
    assert len(await imported(shop, file)) == 12
    assert await books_of(stack, done) == []


async def test_looks_at_more_invoices_in_a_later_run(url: str, stack: Stack, files: Files, worker: None) -> None:
    """A limit is not for ever: what was placed stays, and is canceled when its cancellation comes into view."""
    file = files.write(*SMALL_SHOP)
    first = await run(url, file, limit=2)
    assert [line["code"] for line in first.document["lines"] if "code" in line] == ["not_goods"] + [
        "beyond_limit"
    ] * 4
    second = await run(url, file)
    assert second.balanced and [order["canceled"] for order in second.document["placed"]] == [False, True, False]
    assert await books_of(stack, second) == []


async def test_puts_the_journal_of_another_shop_aside(url: str, files: Files, worker: None) -> None:
    """A new database knows nothing of what was placed in the old one: it is imported anew."""
    file = files.write(*SMALL_SHOP)
    first = await run(url, file)
    (journal,) = files.folder.glob("*.jsonl")
    orders = [order["orderId"] for order in first.document["placed"]]
    for order_id in orders:
        journal.write_text(journal.read_text().replace(order_id, secrets.token_hex(16)))
    second = await run(url, file)
    assert [order["orderId"] for order in second.document["placed"]] == orders
    assert len(list(files.folder.glob("*.jsonl.1"))) == 1


async def test_tells_orders_that_do_not_settle_and_goes_on_later(
    settings: Settings, files: Files, temporal_client: Client
) -> None:
    """Without a worker nothing is carried out: exit code 1, a report that says it is not complete; then it is."""
    app = create_app(settings.model_copy(update={"checkout_budget": 0.2}))
    async with app.router.lifespan_context(app), served(app) as url:
        file = files.write(("1", "LAMP", 5, "2.55", "7"))
        command = Command(files.folder, {"ORDERSAGA_API_URL": url})
        ran = await command("import-orders", file, "--patience", "5", "--json")
        assert (ran.code, ran.failure["code"], ran.document["complete"]) == (1, "unsettled", False)
        assert ran.document["orders"]["unsettled"] == ["1"]
        async with build_activities(settings) as activities, build_worker(temporal_client, settings, activities):
            again = await command("import-orders", file, "--json")
    assert (again.code, again.document["complete"], again.document["balanced"]) == (0, True, True)


class Stumbling:
    """The API, whose checkouts first answer these statuses, one after the other."""

    def __init__(self, app: FastAPI, *statuses: int) -> None:
        self._app, self._statuses = app, list(statuses)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == "/api/orders" and scope["method"] == "POST" and self._statuses:
            status = self._statuses.pop(0)
            answer = JSONResponse({"code": "stumbled", "detail": "something went wrong inside"}, status)
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def test_waits_for_a_busy_api_and_tries_what_broke_in_the_next_run(
    app: FastAPI, files: Files, worker: None
) -> None:
    """503 is asked again at once, 500 is told as not done, with the cancel that hangs on it; then all is placed."""
    file = files.write(("1", "LAMP", 1, "2.55", "7"), ("2", "LAMP", 2, "2.55", "8"), ("C3", "LAMP", -1, "2.55", "7"))
    async with served(Stumbling(app, 503, 429, 500)) as url:
        broken = await run(url, file, concurrency=1)
        assert (broken.complete, broken.unsettled) == (False, ["1"])
        lines = broken.document["lines"]
        assert [line["outcome"] for line in lines] == ["skipped", "ordered", "skipped"]
        assert "stumbled: something went wrong inside" in lines[0]["reason"]
        done = await run(url, file)
    assert [line["outcome"] for line in done.document["lines"]] == ["ordered", "ordered", "canceled"]
    assert done.balanced


async def test_gives_an_api_that_stays_away_up(files: Files) -> None:
    """After its patience, with exit code 1, and says that nothing is lost."""
    command = Command(files.folder, {"ORDERSAGA_API_URL": "http://127.0.0.1:1"})
    ran = await command("import-orders", files.write(*SMALL_SHOP), "--patience", "1", "--json")
    assert (ran.code, ran.out) == (1, "")
    assert (ran.failure["code"], "goes on where" in ran.failure["mend"]) == ("api_unreachable", True)
