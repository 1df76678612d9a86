"""Alert rules and documentation, held against what the real processes tell Prometheus."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from temporalio.client import Client

from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.temporal.client import workflow_id
from domain.commands import ParcelStatus
from domain.errors import OnItsWay
from domain.order_states import OrderStatus
from services.inbox.tables import InboxEvent
from tests.support.brokers import NatsBus, running
from tests.support.orders import Shop
from tests.support.scrape import Scrape
from tests.support.services import Services
from tests.support.waiting import until
from tests.support.warm_interpreter import PROJECT
from tests.support.webhooks import Hooks
from workflows.order_fulfillment import OrderFulfillment

RULES = PROJECT / "ops/prometheus/rules.yml"
DOCUMENT = PROJECT / "docs/metrics.md"
OF_CONSUMERS = frozenset(
    [
        "ordersaga_consumer_events_total",
        "ordersaga_consumer_rewinds_total",
        "ordersaga_consumer_delay_seconds",
    ]
)
"""Told by relays that have a broker, which this one has not (`events/metrics.py`)."""
FUNCTIONS = frozenset(["absent", "by", "histogram_quantile", "increase", "max", "min", "rate", "sum"])


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


@pytest.fixture
async def lived(
    services: Services,
    front: httpx.AsyncClient,
    shop: Shop,
    sessions: Sessions,
    temporal_client: Client,
    own_inbox: None,
    tmp_path: Path,
) -> AsyncIterator[Scrape]:
    """A scrape of processes in which all that an alert asks for has happened once."""
    await front.post("/api/orders", json={})
    line = {"productId": await shop.product(), "quantity": 1}
    body = {"customerId": await shop.customer(), "items": [line], "paymentMethod": "pm_card_visa"}
    order_id = (await front.post("/api/orders", json=body)).json()["orderId"]
    await until(lambda: shop.status(order_id), OrderStatus.READY_TO_SHIP)
    order = temporal_client.get_workflow_handle(workflow_id(order_id))
    await order.signal(OrderFulfillment.parcel_changed, ParcelStatus.IN_TRANSIT)
    await until(lambda: shop.status(order_id), OrderStatus.SHIPPED)
    await Hooks(front, shop.settings, sessions).carrier("shp_of_nobody")
    failing = await temporal_client.start_workflow(
        "NoSuchWorkflow", id=f"failing-{secrets.token_hex(4)}", task_queue=services.task_queue
    )
    # An event that no sweep takes yet, so that there is one that waits.
    left = InboxEvent(source="carrier", event_id=secrets.token_hex(8), type="x", object_id="x")
    left.attempted_at = now() + timedelta(hours=1)
    async with running(NatsBus(tmp_path)) as bus, services.relay(ORDERSAGA_BROKER_URL=bus.url("relay")):
        yield await _scrape(services, sessions, left)
    await failing.terminate()
    async with sessions() as session, session.begin():
        await session.delete(left)


async def _scrape(services: Services, sessions: Sessions, left: InboxEvent) -> Scrape:
    async with sessions() as session, session.begin():
        session.add(left)

    async def waits() -> bool:
        seen = Scrape(await services.scraped())
        return bool(
            seen.value("temporal_workflow_task_execution_failed_total")
            and seen.value("ordersaga_webhook_inbox_unprocessed", source="carrier")
            and seen.value("ordersaga_webhook_lag_seconds_count", source="carrier")
            and seen.value("ordersaga_publish_lag_seconds_count")
        )

    await until(waits, True)
    return Scrape(await services.scraped())


async def test_every_alert_asks_for_what_is_there(lived: Scrape) -> None:
    """A rule with a misspelled metric or label never fires, and nobody notices."""
    assert len(rules()) > 8
    for rule in rules():
        asked = asked_by(rule["expr"])
        assert asked, rule["alert"]
        for metric, labels in asked.items():
            assert metric in lived.names, rule["alert"]
            known = {name for found in lived.labels(metric) for name in found}
            assert labels <= known, (rule["alert"], metric)


async def test_every_alert_asks_for_values_that_can_be(lived: Scrape) -> None:
    """Also for the code of a far end that refuses our key: its series is there before the first refusal."""
    wanted = {
        (metric, *matcher)
        for rule in rules()
        for metric, matchers in re.findall(r"([a-z_:][a-z0-9_:]*)\{([^}]*)\}", rule["expr"])
        for matcher in re.findall(r'(\w+)="([^"]*)"', matchers)
    }
    assert ("ordersaga_step_failures_total", "code", "misconfigured") in wanted
    for metric, label, value in wanted:
        assert value in {found.get(label) for found in lived.labels(metric)}, (metric, label, value)


def test_a_refund_on_its_way_wakes_nobody() -> None:
    """It is looked at for days: only failures count, whatever the step."""
    (undo,) = (rule for rule in rules() if rule["alert"] == "UndoFailing")
    assert f'code!="{OnItsWay.code}"' in undo["expr"]


def asked_by(expression: str) -> dict[str, set[str]]:
    """The metrics that a PromQL expression names, and the labels that it wants of each."""
    grouped = {name for names in re.findall(r"by \(([^)]*)\)", expression) for name in re.split(r",\s*", names)}
    bare = re.sub(r"by \([^)]*\)|\[[^]]*\]", "", expression)
    asked = {}
    for metric, matchers in re.findall(r"([a-z_:][a-z0-9_:]*)(?:\{([^}]*)\})?", bare):
        if metric not in FUNCTIONS:
            asked[metric] = grouped | set(re.findall(r"(\w+)\s*[=!]~?", matchers))
    return asked


def test_every_alert_says_what_it_means_and_whom_it_calls() -> None:
    """Whoever is woken by it has a sentence to begin with."""
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]


async def test_the_documentation_names_every_metric_of_ours(lived: Scrape) -> None:
    """Neither one that is not there, nor one that nobody explains."""
    documented = set(re.findall(r"^\| `(ordersaga_\w+)` \|", DOCUMENT.read_text(), re.MULTILINE))

    told = {name for name in lived.metrics if name.startswith("ordersaga_")}
    assert documented == told | OF_CONSUMERS
    assert not told & OF_CONSUMERS
