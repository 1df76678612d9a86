"""The carrier simulator over HTTP: labels, voids, tracking, webhooks, faults, kill and restart."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.support.simulators import CARRIER_SECRET, CarrierProcess, WebhookReceiver, running
from tests.support.waiting import until


@pytest.fixture(scope="module")
async def receiver() -> AsyncIterator[WebhookReceiver]:
    receiver = WebhookReceiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture(scope="module")
async def process(
    tmp_path_factory: pytest.TempPathFactory, receiver: WebhookReceiver
) -> AsyncIterator[CarrierProcess]:
    folder = tmp_path_factory.mktemp("carrier")
    async with running(CarrierProcess(folder, "--webhook-url", receiver.url)) as process:
        yield process


@pytest.fixture
async def carrier(process: CarrierProcess, receiver: WebhookReceiver) -> AsyncIterator[CarrierProcess]:
    receiver.deliveries.clear()
    yield process
    await process.clear_faults()
    await process.control("settings", scan_after=None, deliver_after=None, refund_delay=0)


@pytest.fixture
def reference() -> str:
    return f"order-{uuid4().hex[:12]}:1"


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def kinds(carrier: CarrierProcess, reference: str) -> list[str]:
    return [entry["kind"] for entry in await carrier.view("ledger", reference=reference)]


async def test_a_shipment_is_created_free_and_bought(carrier: CarrierProcess, reference: str) -> None:
    """Rates come with the shipment; the label, the tracking code and the cost with the purchase."""
    shipment = await carrier.created(reference)
    assert (shipment["status"], shipment["tracking_code"], shipment["postage_label"]) == ("unknown", None, None)
    assert next((rate["carrier"], rate["rate"]) for rate in shipment["rates"]) == ("SimPost", "7.90")
    assert await kinds(carrier, reference) == []
    bought = (await carrier.buy(shipment)).json()
    assert (bought["status"], bought["selected_rate"]["rate"]) == ("pre_transit", "7.90")
    assert bought["tracking_code"].startswith("SIM")
    assert bought["postage_label"]["id"].startswith("pl_")
    assert await carrier.get(shipment["id"]) == bought
    assert await kinds(carrier, reference) == ["label_bought"]


async def test_a_second_purchase_is_refused(carrier: CarrierProcess, reference: str) -> None:
    """Postage exists: no second label is bought."""
    bought = await carrier.bought(reference)
    assert code_of(await carrier.buy(bought)) == (422, "SHIPMENT.POSTAGE.EXISTS")
    assert await kinds(carrier, reference) == ["label_bought"]


async def test_shipments_are_found_by_reference(carrier: CarrierProcess, reference: str) -> None:
    """Creating twice makes two shipments: there are no idempotency keys, whoever lost an answer must look."""
    headers = {"Idempotency-Key": reference}
    carrier.api.headers.update(headers)
    made = [(await carrier.created(reference))["id"] for _ in range(2)]
    del carrier.api.headers["Idempotency-Key"]
    assert made[0] != made[1]
    found = (await carrier.api.get("/shipments", params={"reference": reference})).json()
    assert [shipment["id"] for shipment in found["shipments"]] == made[::-1]
    assert found["has_more"] is False
    assert (await carrier.api.get("/shipments", params={"reference": "nobody"})).json()["shipments"] == []


@pytest.mark.parametrize("address", [{"zip": "00000"}, {"street1": "5 Undeliverable Road"}])
async def test_an_address_that_cannot_be_reached_is_refused(carrier: CarrierProcess, address: dict[str, str]) -> None:
    """422 with the carrier's code; no shipment is made."""
    shipment = {"reference": "bad-address", "to_address": {"zip": "1", **address}, "parcel": {}}
    answer = await carrier.api.post("/shipments", json={"shipment": shipment})
    assert code_of(answer) == (422, "ADDRESS.VERIFY.FAILURE")
    assert (await carrier.api.get("/shipments?reference=bad-address")).json()["shipments"] == []


async def test_a_wrong_key_is_unauthorized(carrier: CarrierProcess) -> None:
    """The key is the user name of basic authentication."""
    for auth in (("wrong", ""), None):
        answer = await carrier.http.get("/v2/shipments", auth=auth)
        assert code_of(answer) == (401, "APIKEY.INACTIVE")


async def test_unknown_shipments_and_rates_are_refused(carrier: CarrierProcess, reference: str) -> None:
    """404 and 422 in the carrier's error shape."""
    assert code_of(await carrier.api.get("/shipments/shp_unheard")) == (404, "NOT_FOUND")
    shipment = await carrier.created(reference)
    answer = await carrier.api.post(f"/shipments/{shipment['id']}/buy", json={"rate": {"id": "rate_unheard"}})
    assert answer.status_code == 422
    assert code_of(await carrier.api.post(f"/shipments/{shipment['id']}/refund")) == (422, "SHIPMENT.INVALID_STATUS")


async def test_a_void_is_confirmed_at_once_without_a_delay(
    carrier: CarrierProcess, receiver: WebhookReceiver, reference: str
) -> None:
    """The label is refunded, and a webhook says canceled."""
    bought = await carrier.bought(reference)
    voided = (await carrier.api.post(f"/shipments/{bought['id']}/refund")).json()
    assert (voided["refund_status"], voided["status"]) == ("refunded", "cancelled")
    assert await kinds(carrier, reference) == ["label_bought", "void_requested", "label_voided"]
    (delivery,) = await receiver.wait_for(1)
    assert json.loads(delivery.body)["result"]["status"] == "cancelled"


async def test_a_void_can_take_its_time(carrier: CarrierProcess, reference: str) -> None:
    """Submitted first, refunded later; asking again in between changes nothing."""
    await carrier.control("settings", refund_delay=600)
    bought = await carrier.bought(reference)
    for _ in range(2):
        answer = await carrier.api.post(f"/shipments/{bought['id']}/refund")
        assert answer.json()["refund_status"] == "submitted"
    await carrier.control("clock", advance_seconds=601)
    assert (await carrier.get(bought["id"]))["refund_status"] == "refunded"
    assert await kinds(carrier, reference) == ["label_bought", "void_requested", "label_voided"]


async def test_a_scanned_label_cannot_be_voided(carrier: CarrierProcess, reference: str) -> None:
    """The refund is rejected; so is one whose parcel is scanned while the request is being looked at."""
    bought = await carrier.bought(reference)
    await carrier.control(f"shipments/{bought['id']}/track", status="in_transit")
    answer = await carrier.api.post(f"/shipments/{bought['id']}/refund")
    assert code_of(answer) == (422, "SHIPMENT.REFUND.UNAVAILABLE")
    assert (await carrier.get(bought["id"]))["refund_status"] == "rejected"

    await carrier.control("settings", refund_delay=600)
    late = await carrier.bought(f"{reference}:late")
    await carrier.api.post(f"/shipments/{late['id']}/refund")
    await carrier.control(f"shipments/{late['id']}/track", status="in_transit")
    await carrier.control("clock", advance_seconds=601)
    rejected = await carrier.get(late["id"])
    assert (rejected["refund_status"], rejected["status"]) == ("rejected", "in_transit")


async def test_a_parcel_is_scanned_and_delivered_by_itself(
    carrier: CarrierProcess, receiver: WebhookReceiver, reference: str
) -> None:
    """On the tracking clock, with a signed webhook for each step."""
    await carrier.control("settings", scan_after=0.1, deliver_after=0.3)
    bought = await carrier.bought(reference)
    deliveries = await receiver.wait_for(2)
    results = [json.loads(delivery.body)["result"] for delivery in deliveries]
    assert [result["status"] for result in results] == ["in_transit", "delivered"]
    assert {(result["shipment_id"], result["tracking_code"]) for result in results} == {
        (bought["id"], bought["tracking_code"])
    }
    assert await kinds(carrier, reference) == ["label_bought", "scanned", "delivered"]
    digest = hmac.new(CARRIER_SECRET.encode(), deliveries[0].body, hashlib.sha256).hexdigest()
    assert deliveries[0].headers["x-hmac-signature"] == f"hmac-sha256-hex={digest}"
    event = json.loads(deliveries[0].body)
    assert (event["object"], event["description"]) == ("Event", "tracker.updated")


async def test_a_voided_label_is_scanned_only_when_forced(carrier: CarrierProcess, reference: str) -> None:
    """The clock leaves it alone; a late scan can be played."""
    await carrier.control("settings", scan_after=50)
    bought = await carrier.bought(reference)
    await carrier.api.post(f"/shipments/{bought['id']}/refund")
    await carrier.control("clock", advance_seconds=60)
    assert (await carrier.get(bought["id"]))["status"] == "cancelled"
    await carrier.control(f"shipments/{bought['id']}/track", status="in_transit")
    late = await carrier.get(bought["id"])
    assert (late["status"], late["refund_status"]) == ("in_transit", "refunded")

    await carrier.control("settings", refund_delay=600)
    requested = await carrier.bought(f"{reference}:requested")
    await carrier.api.post(f"/shipments/{requested['id']}/refund")
    await carrier.control("clock", advance_seconds=60)
    assert (await carrier.get(requested["id"]))["status"] == "pre_transit"


async def test_a_lost_answer_leaves_a_bought_label(carrier: CarrierProcess, reference: str) -> None:
    """after_effect_drop: the client saw an error, the money is spent, looking by id shows it."""
    shipment = await carrier.created(reference)
    await carrier.control("faults", operation="shipments.buy", kind="after_effect_drop")
    with pytest.raises(httpx.RemoteProtocolError):
        await carrier.buy(shipment)
    assert (await carrier.get(shipment["id"]))["tracking_code"] is not None
    assert code_of(await carrier.buy(shipment)) == (422, "SHIPMENT.POSTAGE.EXISTS")


@pytest.mark.parametrize(
    ("kind", "bought"),
    [
        ("before_effect", False),
        ("connection_reset", False),
        ("rate_limit_429", False),
        ("error_500_unsaved", False),
        ("error_500_saved", True),
        ("truncated_body", True),
    ],
)
async def test_each_fault_keeps_its_word_about_the_effect(
    carrier: CarrierProcess, reference: str, kind: str, bought: bool
) -> None:
    """The purchase failed for the client; whether it happened is what the fault's name says."""
    shipment = await carrier.created(reference)
    await carrier.control("faults", operation="shipments.buy", kind=kind)
    try:
        status = (await carrier.buy(shipment)).status_code
    except httpx.TransportError:
        status = 0
    assert status in (0, 429, 500)
    assert ((await carrier.get(shipment["id"]))["postage_label"] is not None) == bought
    assert await kinds(carrier, reference) == (["label_bought"] if bought else [])


@pytest.mark.parametrize(
    ("rule", "seen"),
    [
        ({"kind": "refuse_400"}, (400, "BAD_REQUEST")),
        ({"kind": "refuse_402"}, (402, "PAYMENT_REQUIRED")),
        ({"kind": "refuse_400", "code": "SHIPMENT.SOMETHING.NEW"}, (400, "SHIPMENT.SOMETHING.NEW")),
    ],
)
async def test_a_refusal_that_nobody_expects_buys_nothing(
    carrier: CarrierProcess, reference: str, rule: dict[str, str], seen: tuple[int, str]
) -> None:
    """With a code of the test's own, or the usual one; the next purchase is a purchase."""
    shipment = await carrier.created(reference)
    await carrier.control("faults", operation="shipments.buy", **rule)
    assert code_of(await carrier.buy(shipment)) == seen
    assert await kinds(carrier, reference) == []
    assert (await carrier.buy(shipment)).status_code == 200


@pytest.mark.parametrize("code", ["html", "empty", "list", "types"])
async def test_nonsense_takes_the_place_of_an_answer(carrier: CarrierProcess, reference: str, code: str) -> None:
    """200, and nothing in it that a client could work with; nothing was done either."""
    shipment = await carrier.created(reference)
    await carrier.control("faults", operation="shipments.buy", kind="nonsense", code=code)
    answer = await carrier.buy(shipment)
    assert answer.status_code == 200
    assert "SIM" not in answer.text
    assert await kinds(carrier, reference) == []


async def test_a_slow_carrier_buys_after_the_client_has_given_up(carrier: CarrierProcess, reference: str) -> None:
    """The purchase cannot be fenced: it happens although nobody waits for it any more."""
    shipment = await carrier.created(reference)
    await carrier.control("faults", operation="shipments.buy", kind="slow", delay_seconds=0.3)
    carrier.api.timeout = httpx.Timeout(60, read=0.1)
    with pytest.raises(httpx.ReadTimeout):
        await carrier.buy(shipment)
    carrier.api.timeout = httpx.Timeout(60)
    await until(lambda: kinds(carrier, reference), ["label_bought"])


async def test_the_audit_reports_a_second_live_label(carrier: CarrierProcess, reference: str) -> None:
    """One reference, one live label; after a void another may be bought."""
    first = await carrier.bought(reference)
    await carrier.api.post(f"/shipments/{first['id']}/refund")
    await carrier.bought(reference)
    assert (await carrier.view("audit"))["violations"] == []
    await carrier.bought(reference)
    (violation,) = (await carrier.view("audit"))["violations"]
    assert (violation["rule"], violation["reference"]) == ("second_live_label", reference)


async def test_kill_and_restart_keep_labels_and_due_scans(tmp_path: Path, receiver: WebhookReceiver) -> None:
    """A label bought before kill -9 is there after it, and its scan still comes."""
    receiver.deliveries.clear()
    async with running(CarrierProcess(tmp_path, "--scan-after", "1.5", "--webhook-url", receiver.url)) as carrier:
        bought = await carrier.bought("o1:1")
        carrier.kill()
        await carrier.start()
        assert (await carrier.get(bought["id"]))["tracking_code"] == bought["tracking_code"]
        (delivery,) = await receiver.wait_for(1)
        assert json.loads(delivery.body)["result"]["status"] == "in_transit"
        assert await kinds(carrier, "o1:1") == ["label_bought", "scanned"]
