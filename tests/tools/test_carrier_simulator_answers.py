"""How the carrier simulator answers when it is told to: voids that are refused, rates of many kinds, odd statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from uuid import uuid4

import pytest

from devstack.carrier.shipments import CarrierSettings
from tests.support.simulators import CarrierProcess, running


@pytest.fixture(scope="module")
async def process(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CarrierProcess]:
    async with running(CarrierProcess(tmp_path_factory.mktemp("carrier"))) as process:
        yield process


@pytest.fixture
async def carrier(process: CarrierProcess) -> AsyncIterator[CarrierProcess]:
    yield process
    await process.control("settings", **asdict(CarrierSettings()))


@pytest.fixture
def reference() -> str:
    return f"order-{uuid4().hex[:12]}:1"


async def kinds(carrier: CarrierProcess, reference: str) -> list[str]:
    return [entry["kind"] for entry in await carrier.view("ledger", reference=reference)]


async def test_a_rejected_void_is_looked_at_anew_when_it_is_asked_for_again(
    carrier: CarrierProcess, reference: str
) -> None:
    """A request very soon after the purchase may be rejected by mistake."""
    await carrier.control("settings", refund_status="rejected")
    bought = await carrier.bought(reference)
    refused = (await carrier.api.post(f"/shipments/{bought['id']}/refund")).json()
    assert (refused["refund_status"], refused["status"]) == ("rejected", "pre_transit")
    await carrier.control("settings", refund_status="refunded")
    assert (await carrier.get(bought["id"]))["refund_status"] == "rejected"
    assert (await carrier.api.post(f"/shipments/{bought['id']}/refund")).json()["refund_status"] == "refunded"
    asked = ["void_requested", "void_rejected", "void_requested", "label_voided"]
    assert await kinds(carrier, reference) == ["label_bought", *asked]


async def test_a_carrier_that_bills_on_scan_has_nothing_to_refund(carrier: CarrierProcess, reference: str) -> None:
    """It says so at once, whenever it is asked; the label is not void, and is billed by nobody."""
    await carrier.control("settings", refund_status="not_applicable", refund_delay=600)
    bought = await carrier.bought(reference)
    for _ in range(2):
        answer = (await carrier.api.post(f"/shipments/{bought['id']}/refund")).json()
        assert (answer["refund_status"], answer["status"]) == ("not_applicable", "pre_transit")
    assert await kinds(carrier, reference) == ["label_bought", "void_requested", "label_not_billed"]
    await carrier.bought(reference)
    assert (await carrier.view("audit"))["violations"] == []


async def test_there_are_rates_only_from_an_address_of_the_shop(carrier: CarrierProcess, reference: str) -> None:
    """Without it the list is empty, and a message says which carrier has none."""
    given = {"reference": reference, "to_address": {"zip": "1"}, "parcel": {"weight": 1}}
    origin = {"from_address": {"street1": "2 Store St", "zip": "12346"}}
    offered = [("Ground", "7.90", "USD", 4), ("Express", "18.40", "USD", 1)]
    for addresses, rates in (({}, []), (origin, offered)):
        made = (await carrier.api.post("/shipments", json={"shipment": given | addresses})).json()
        assert [(r["service"], r["rate"], r["currency"], r["delivery_days"]) for r in made["rates"]] == rates
        assert [message["type"] for message in made["messages"]] == ([] if rates else ["rate_error"])
    await carrier.control("settings", rates=[])
    assert (await carrier.created(reference))["rates"] == []
    await carrier.control("settings", rates=[["Post", "5.00", None, "CAD"]])
    (rate,) = (await carrier.created(reference))["rates"]
    assert (rate["service"], rate["rate"], rate["currency"], rate["delivery_days"]) == ("Post", "5.00", "CAD", None)


async def test_a_tracker_keeps_what_it_has_said(carrier: CarrierProcess, reference: str) -> None:
    """Its status may fall back to what says nothing; the details still prove the scan."""
    bought = await carrier.bought(reference)
    for status in ("in_transit", "available_for_pickup", "unknown"):
        await carrier.control(f"shipments/{bought['id']}/track", status=status)
    tracker = (await carrier.get(bought["id"]))["tracker"]
    assert tracker["status"] == "unknown"
    told = [detail["status"] for detail in tracker["tracking_details"]]
    assert told == ["pre_transit", "in_transit", "available_for_pickup", "unknown"]
