"""Every row of the table of the carrier's errors (https://docs.easypost.com/guides/errors-guide)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import certifi
import httpx
import pytest

from adapters.carrier.gateway import CarrierGateway, PostageExists, VoidRefused
from adapters.http_pool import Answer, HttpPool
from adapters.settings import Settings
from domain.errors import CallRefused, Misconfigured, OurFault, ShipmentNotFound, ShipmentRefused, TryAgain

SECRET = "1 Main Street"  # stands for whatever a message of the carrier's may quote
SHIPMENT: dict[str, Any] = {"id": "shp_1", "status": "unknown", "tracking_code": None, "rates": [{"id": "rate_1"}]}

NONSENSE: list[Any] = [
    [],
    {},
    "shipment",
    {"id": 7},
    SHIPMENT | {"rates": 1},
    SHIPMENT | {"status": ["lost"]},
    SHIPMENT | {"tracking_code": 4711},
    SHIPMENT | {"selected_rate": "Ground"},
]


class Carrier(HttpPool):
    """A carrier that says what the test wants."""

    def __init__(self) -> None:
        super().__init__(certifi.where())
        self.answer = httpx.Response(200, json=SHIPMENT)

    async def request(self, *asked: Any) -> Answer:
        return Answer(self.answer.status_code, self.answer.headers, self.answer.content)

    async def aclose(self) -> None: ...

    def refuses(self, status: int, code: str | None) -> None:
        error: dict[str, Any] = {"code": code, "message": f"quotes {SECRET}", "errors": []}
        self.answer = httpx.Response(status, json={"error": error})


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
async def gateway(carrier: Carrier) -> AsyncIterator[CarrierGateway]:
    gateway = CarrierGateway(Settings())
    await gateway.aclose()
    gateway._http = carrier
    yield gateway
    await gateway.aclose()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "BAD_REQUEST", CallRefused),
        (401, "APIKEY.INACTIVE", Misconfigured),
        (402, "PAYMENT_REQUIRED", OurFault),
        (403, None, Misconfigured),
        (404, "NOT_FOUND", CallRefused),
        (405, None, CallRefused),
        (408, None, TryAgain),
        (422, "SHIPMENT.INVALID_PARAMS", CallRefused),
        (422, "A.CODE.OF.TOMORROW", CallRefused),
        (422, "SHIPMENT.POSTAGE.EXISTS", PostageExists),
        (422, "SHIPMENT.REFUND.UNAVAILABLE", VoidRefused),
        (422, "ADDRESS.VERIFY.FAILURE", ShipmentRefused),
        (429, "RATE_LIMITED", TryAgain),
        (301, None, CallRefused),
        (500, None, TryAgain),
        (503, None, TryAgain),
    ],
)
async def test_says_what_an_error_of_the_carrier_means(
    carrier: Carrier, gateway: CarrierGateway, status: int, code: str | None, kind: type[Exception]
) -> None:
    """What is not listed is about us: never about the one order that met it first."""
    carrier.refuses(status, code)
    with pytest.raises(kind) as raised:
        await gateway.create("order", {})
    assert raised.type is kind
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [
        (402, "PAYMENT_REQUIRED", "carrier HTTP 402 PAYMENT_REQUIRED"),
        (400, None, "carrier HTTP 400"),
        (422, f"quotes {SECRET}", "carrier HTTP 422"),
    ],
)
async def test_a_cause_is_the_same_text_for_every_order(
    carrier: Carrier, gateway: CarrierGateway, status: int, code: str | None, cause: str
) -> None:
    """The status and a code that is a name: it is a ticket's subject and a metric's label."""
    carrier.refuses(status, code)
    with pytest.raises(OurFault) as raised:
        await gateway.create("order", {})
    fault = raised.value
    assert (fault.far_end, fault.cause, bool(fault.mend)) == ("carrier", cause, True)


async def test_a_shipment_that_we_know_and_the_carrier_does_not_is_about_one_order(
    carrier: Carrier, gateway: CarrierGateway
) -> None:
    """404 for an id of ours, as Stripe's for a PaymentIntent."""
    carrier.refuses(404, "NOT_FOUND")
    with pytest.raises(ShipmentNotFound):
        await gateway.retrieve("shp_1")


@pytest.mark.parametrize(
    "nonsense",
    [
        httpx.Response(200, text="<html>Bad gateway</html>"),
        *(httpx.Response(200, json=answer) for answer in NONSENSE),
        httpx.Response(502, text="<html>Bad gateway</html>"),
        httpx.Response(400, json=["error"]),
    ],
)
async def test_nonsense_is_an_error_of_ours(
    carrier: Carrier, gateway: CarrierGateway, nonsense: httpx.Response
) -> None:
    """Tried again, since nobody knows what became of the call; a refusal in another shape is a refusal."""
    carrier.answer = nonsense
    with pytest.raises((TryAgain, CallRefused)):
        await gateway.create("order", {})
