"""A real shop's orders: the first invoices of the sample, replayed by the real command."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.settings import Settings
from benchmarks.order_books import faults
from devstack.stack.ports import free_port
from devstack.stack.stack import Stack
from tests.support.command import PROJECT, Command, program
from tests.support.waiting import until

SAMPLE = PROJECT.parent / "shared" / "data" / "online_retail_sample.csv"
INVOICES = 300

pytestmark = [
    pytest.mark.skipif(not SAMPLE.is_file(), reason=f"no real orders here: {SAMPLE.name} is not in ../shared/data"),
    pytest.mark.timeout(300),
    pytest.mark.long,
]


async def test_replays_the_first_invoices_of_a_real_shop(stack: Stack, settings: Settings, tmp_path: Path) -> None:
    """Every line has its outcome; file, API, Stripe, carrier and stock agree to the penny, label and piece."""
    # Processes of their own: in this one, API and worker would share a core, and take twice as long.
    port = free_port()
    environment = stack.environment | {"ORDERSAGA_TASK_QUEUE": settings.task_queue}
    serve = ("-m", "uvicorn", "api.app:create_app", "--factory", "--no-access-log", "--port", str(port))
    async with program(*serve, environment=environment), program("worker.py", environment=environment):
        await until(lambda: _is_ready(port), True)
        command = Command(tmp_path, {"ORDERSAGA_API_URL": f"http://127.0.0.1:{port}"})
        ran = await command("import-orders", SAMPLE, "--limit", str(INVOICES), "--json")

    assert ran.code == 0, ran.err
    report = json.loads((tmp_path / "import-report.json").read_text())
    _check_lines(report)
    assert ran.document["orders"]["placed"] == len(report["placed"]) > INVOICES * 0.8
    urls = stack.urls
    assert await faults(report, stripe=urls.stripe, carrier=urls.carrier, database_url=urls.database_url) == []


def _check_lines(report: dict[str, Any]) -> None:
    """The lines are those of the file, and the ordered ones add up to what the shop kept."""
    written = SAMPLE.read_text().splitlines()[1:]
    assert [line["line"] for line in report["lines"]] == list(range(2, len(written) + 2))
    assert all(line["outcome"] in ("ordered", "canceled") or line["reason"] for line in report["lines"])
    looked_at = [line for line in report["lines"] if line.get("code") != "beyond_limit"]
    assert len({line["invoice"] for line in looked_at}) == INVOICES
    ordered = sum(Decimal(line["amount"]) for line in looked_at if line["outcome"] == "ordered")
    (book,) = report["books"]
    assert (str(ordered), book["balanced"]) == (book["orderTotals"], True)


async def _is_ready(port: int) -> bool:
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            return (await http.get(f"http://127.0.0.1:{port}/readyz")).is_success
    except httpx.HTTPError:
        return False
