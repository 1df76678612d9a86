"""The carrier, over EasyPost's HTTP shape (https://docs.easypost.com/docs/shipments).

Carriers know no idempotency keys: safety comes from two steps (a free shipment whose id is saved, then the purchase)
and from looking before anything is repeated. Never run against EasyPost itself.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import aiohttp
import certifi

from adapters.clock import now
from adapters.http_pool import HttpPool
from adapters.settings import Settings
from domain.commands import ParcelStatus
from domain.errors import CallRefused, Misconfigured, OurFault, ShipmentNotFound, ShipmentRefused, TryAgain
from domain.parcels import LabelRefund, Rate, cheapest, label_refund, parcel_status


@dataclass(frozen=True)
class ShipmentSnapshot:
    """A shipment as the carrier says it is now."""

    id: str
    status: ParcelStatus
    tracking_number: str | None  # None until a label was bought
    carrier: str | None
    refund_status: LabelRefund | None  # of the label; None: nobody asked for one
    rates: tuple[Rate, ...] = ()
    rate_errors: tuple[str, ...] = ()  # which carrier gave no rates, and the kind of error

    @property
    def bought(self) -> bool:
        return self.tracking_number is not None


class PostageExists(TryAgain):
    """A label was bought for this shipment before: look."""

    code = "postage_exists"


class NoRateFits(TryAgain):
    """There is no rate to buy the label at; mostly for a moment, or because of our own settings."""

    code = "no_rates"


class VoidRefused(TryAgain):
    """The carrier does not take the label back: look why."""

    code = "void_refused"


class CarrierGateway:
    def __init__(self, settings: Settings) -> None:
        self.timeout = timedelta(seconds=settings.carrier_timeout)
        self._origin = settings.shipping_origin.model_dump(exclude_none=True)
        self._parcel = {"weight": settings.parcel_weight}
        self._currency, self._most_days = settings.carrier_currency, settings.delivery_days
        self._base = settings.carrier_api_base.rstrip("/")
        login = f"{settings.carrier_api_key.get_secret_value()}:"
        self._headers = {
            "Authorization": f"Basic {base64.b64encode(login.encode()).decode()}",
            "Accept": "application/json",
        }
        self._http = HttpPool(certifi.where())

    async def aclose(self) -> None:
        await self._http.aclose()

    async def create(self, reference: str, address: dict[str, Any] | None) -> ShipmentSnapshot:
        """A shipment with its rates; free. Raises ShipmentRefused for an address that cannot be served.

        There are rates only with both addresses and the parcel (https://docs.easypost.com/docs/shipments).
        """
        addresses = {"to_address": address or {}, "from_address": self._origin}
        body = {"shipment": {"reference": reference, **addresses, "parcel": self._parcel}}
        return await self._call("POST", "/v2/shipments", body)

    def rate_for(self, shipment: ShipmentSnapshot, service: str | None = None) -> Rate:
        """The cheapest rate that fits, of the `service` that was paid for if there is one. Raises NoRateFits.

        What a carrier says of its reason is not passed on: its words may quote the address
        (https://docs.easypost.com/docs/shipments/messages).
        """
        rate = cheapest(shipment.rates, self._currency, self._most_days, service)
        if rate is None:
            errors = ", ".join(shipment.rate_errors) or "no errors"
            wanted = f"is {service}" if service else "fits"
            found = f"{len(shipment.rates)} rates, none that {wanted}, and {errors}"
            raise NoRateFits(f"the carrier offers {found}: check the setting shipping_origin and the parcel")
        return rate

    async def buy(self, shipment_id: str, rate: Rate, until: datetime) -> ShipmentSnapshot:
        """Buys the label. Nothing is sent after `until`, and nobody waits longer for the answer.

        Raises PostageExists when it was bought before, TryAgain when it is too late.
        """
        left = until - now()
        if left <= timedelta(0):
            raise TryAgain("the time for this purchase is over: it was not sent")
        return await self._call("POST", f"/v2/shipments/{shipment_id}/buy", {"rate": {"id": rate.id}}, left)

    async def void(self, shipment_id: str) -> ShipmentSnapshot:
        """Asks for the label's money back. Raises VoidRefused, above all for a parcel that was scanned."""
        return await self._call("POST", f"/v2/shipments/{shipment_id}/refund", None)

    async def retrieve(self, shipment_id: str) -> ShipmentSnapshot:
        """What the carrier says now."""
        return await self._call("GET", f"/v2/shipments/{shipment_id}", None)

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None, left: timedelta | None = None
    ) -> ShipmentSnapshot:
        timeout = min(self.timeout, left) if left else self.timeout
        sent = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = self._headers if sent is None else self._headers | {"Content-Type": "application/json"}
        try:
            response = await self._http.request(method, f"{self._base}{path}", headers, sent, timeout.total_seconds())
            answer = json.loads(response.body)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            raise TryAgain(f"the carrier's answer did not arrive: {type(error).__name__}") from None
        if 200 <= response.status < 300:
            return _read(answer)
        known = method == "GET" and response.status == 404
        raise (
            ShipmentNotFound("the carrier does not know the shipment") if known else refusal(response.status, answer)
        )


def refusal(status: int, answer: Any) -> Exception:
    """What an error answer means. Its message is not passed on: it may quote the address.

    Statuses and codes: https://docs.easypost.com/guides/errors-guide. What is not listed here is taken to be about us
    (no funds, a request that is wrong for every order), and never about the one order that met it first.
    """
    error = answer.get("error") if isinstance(answer, dict) else None
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    code = code if re.fullmatch(r"[A-Z_.]{1,60}", code) else ""
    said = f"the carrier says {code or 'nothing more'} (HTTP {status})"
    about_us = {"far_end": "carrier", "cause": f"carrier HTTP {status} {code}".rstrip()}
    if status in (401, 403):
        return Misconfigured(
            f"{said}: check ORDERSAGA_CARRIER_API_KEY", **about_us, mend="set ORDERSAGA_CARRIER_API_KEY right"
        )
    if status in (408, 425, 429) or status >= 500:
        return TryAgain(said)
    if code == "SHIPMENT.POSTAGE.EXISTS":
        return PostageExists(said)
    if code.startswith("SHIPMENT.REFUND"):
        return VoidRefused(said)
    if code.startswith("ADDRESS."):
        return ShipmentRefused("address_refused", "the carrier cannot deliver to this address")
    if status == 402:
        return OurFault(said, **about_us, mend="add funds to the carrier's account; orders go on by themselves")
    mend = "find the refused request in the carrier's logs; when what we send is right, orders go on by themselves"
    return CallRefused(said, **about_us, mend=mend)


def _read(answer: Any) -> ShipmentSnapshot:
    try:
        return _snapshot(answer)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TryAgain(f"the carrier's answer cannot be read ({type(error).__name__})") from None


def _snapshot(answer: dict[str, Any]) -> ShipmentSnapshot:
    tracker = answer.get("tracker") or {}
    details = [detail.get("status") for detail in tracker.get("tracking_details") or ()]
    if not isinstance(answer["id"], str) or not isinstance(answer.get("tracking_code"), str | None):
        raise TypeError("a text was expected")
    return ShipmentSnapshot(
        id=answer["id"],
        status=parcel_status(answer.get("status"), [tracker.get("status"), *details]),
        tracking_number=answer.get("tracking_code"),
        carrier=(answer.get("selected_rate") or {}).get("carrier"),
        refund_status=label_refund(answer.get("refund_status")),
        rates=tuple(rate for rate in map(_rate, answer.get("rates") or ()) if rate is not None),
        rate_errors=tuple(f"{one.get('carrier')}: {one.get('type')}" for one in answer.get("messages") or ()),
    )


def _rate(given: dict[str, Any]) -> Rate | None:
    """None for one whose price cannot be read: it cannot be compared."""
    days = given.get("delivery_days")
    try:
        price = Decimal(str(given.get("rate")))
    except InvalidOperation:
        return None
    known_days, service = days if isinstance(days, int) else None, given.get("service")
    return Rate(given["id"], price, str(given.get("currency")), known_days, str(service) if service else None)
