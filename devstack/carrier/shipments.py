"""Shipments, labels and tracking at the simulated carrier.

Creating a shipment costs nothing; buying its label does. Nothing here knows an idempotency key: whoever lost an
answer must look (`GET /v2/shipments?reference=`, `GET /v2/shipments/{id}`) before acting again.
"""

import hashlib
import hmac
import json
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from devstack.carrier.ledger import LabelLedger
from devstack.simulators.durable_store import Document, DurableStore
from devstack.simulators.timer_queue import TimerQueue
from devstack.simulators.webhook_sender import WebhookSender

_ON_THE_WAY = ("in_transit", "out_for_delivery", "available_for_pickup")
TRACKABLE = (*_ON_THE_WAY, "delivered", "return_to_sender", "failure", "cancelled", "error", "unknown")
_LEDGER_KINDS = {"in_transit": "scanned", "delivered": "delivered", "return_to_sender": "returned", "failure": "lost"}


class CarrierRefusal(Exception):
    """An error answer in EasyPost's shape; what was written before it was raised stays written."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"code": code, "message": message, "errors": []}}


@dataclass
class CarrierSettings:
    """How the carrier behaves with shipments created, labels bought, and refunds requested or settled from now on.

    Seconds from the purchase to the first scan and to delivery (None: never by itself), and from the request of a
    refund to its decision (0: at once). `refund_status` is what a label that was not scanned then gets: refunded,
    rejected or not_applicable (a carrier that bills on scan, which answers so at once). `rates` are lists of service,
    price, days (or None) and currency.
    """

    scan_after: float | None = None
    deliver_after: float | None = None
    refund_delay: float = 0.0
    refund_status: str = "refunded"
    rates: Sequence[Sequence[Any]] = (("Ground", "7.90", 4, "USD"), ("Express", "18.40", 1, "USD"))


def hmac_signature(secret: str) -> Callable[[str], dict[str, str]]:
    """EasyPost's header: HMAC-SHA256 over the raw body, with the secret in Unicode form NFKD."""
    key = unicodedata.normalize("NFKD", secret).encode()

    def sign(body: str) -> dict[str, str]:
        return {"X-Hmac-Signature": f"hmac-sha256-hex={hmac.new(key, body.encode(), hashlib.sha256).hexdigest()}"}

    return sign


class Shipments:
    """The operations and the tracking clock. Each runs in one transaction of its caller."""

    def __init__(self, store: DurableStore, webhooks: WebhookSender, settings: CarrierSettings) -> None:
        self.store = store
        self.webhooks = webhooks
        self.settings = settings
        self.ledger = LabelLedger(store)
        self.timers = TimerQueue(store, self._fire)

    def create(self, body: Any) -> Document:
        given = body.get("shipment") if isinstance(body, dict) else None
        if not isinstance(given, dict) or not isinstance(given.get("to_address"), dict) or "parcel" not in given:
            raise CarrierRefusal(422, "SHIPMENT.INVALID_PARAMS", "Give shipment.to_address and shipment.parcel.")
        _check_address(given["to_address"])
        shipment = _new_shipment(given, self._now(), self.settings.rates)
        self.store.add("shipment", shipment, owner=shipment["reference"])
        return shipment

    def get(self, shipment_id: str) -> Document:
        found = self.store.find("shipment", shipment_id)
        if found is None:
            raise CarrierRefusal(404, "NOT_FOUND", f"The requested resource could not be found: {shipment_id}")
        return found

    def list_newest(self, reference: str | None, page_size: int, before_id: str | None) -> Document:
        conditions: list[tuple[str, object]] = []
        if reference is not None:
            conditions.append(("owner = ?", reference))
        if before_id is not None:
            conditions.append(("seq < (SELECT seq FROM documents WHERE id = ?)", before_id))
        found = self.store.newest("shipment", conditions, page_size + 1)
        return {"shipments": found[:page_size], "has_more": len(found) > page_size}

    def buy(self, shipment_id: str, body: Any) -> Document:
        shipment = self.get(shipment_id)
        if shipment["postage_label"] is not None:
            raise CarrierRefusal(422, "SHIPMENT.POSTAGE.EXISTS", "Postage already exists for this shipment.")
        shipment["selected_rate"] = _chosen_rate(shipment, body)
        tracking_code = f"SIM{secrets.randbelow(10**12):012d}"
        label = {"id": _new_id("pl"), "object": "PostageLabel", "label_url": f"label:{tracking_code}.pdf"}
        shipment |= {"tracking_code": tracking_code, "postage_label": label}
        tracker_id = _new_id("trk")
        shipment["tracker"] = {"id": tracker_id, "object": "Tracker", "status": "pre_transit", "tracking_details": []}
        self._save(shipment, "pre_transit")
        self.ledger.record("label_bought", shipment)
        now = self.store.now()
        for kind, seconds in (("scan", self.settings.scan_after), ("deliver", self.settings.deliver_after)):
            if seconds is not None:
                self.timers.set(now + seconds, kind, shipment_id)
        return shipment

    def refund(self, shipment_id: str) -> Document:
        """Void the label. Asked again, it gives the same answer, but looks anew at what was rejected."""
        shipment = self.get(shipment_id)
        if shipment["postage_label"] is None:
            raise CarrierRefusal(422, "SHIPMENT.INVALID_STATUS", "This shipment has no postage to refund.")
        if shipment["refund_status"] in ("submitted", "refunded", "not_applicable"):
            return shipment
        if shipment["status"] != "pre_transit":
            self._reject_refund(shipment)
            raise CarrierRefusal(422, "SHIPMENT.REFUND.UNAVAILABLE", "The label was scanned: refund rejected.")
        self.ledger.record("void_requested", shipment)
        shipment["refund_status"] = "submitted"
        self._save(shipment)
        if self.settings.refund_delay > 0 and self.settings.refund_status != "not_applicable":
            self.timers.set(self.store.now() + self.settings.refund_delay, "settle_refund", shipment_id)
        else:
            self._settle_refund(shipment)
        return shipment

    def track(self, shipment_id: str, status: str) -> Document:
        """Play the carrier's network: any bought label may be scanned, even a voided one."""
        shipment = self.get(shipment_id)
        if shipment["tracking_code"] is None:
            raise CarrierRefusal(422, "SHIPMENT.INVALID_STATUS", "This shipment has no label to scan.")
        if status not in TRACKABLE:
            raise CarrierRefusal(422, "TRACKER.INVALID_STATUS", f"status must be one of {', '.join(TRACKABLE)}")
        if status in _LEDGER_KINDS:
            self.ledger.record(_LEDGER_KINDS[status], shipment)
        self._save(shipment, status)
        self._tell(shipment)
        return shipment

    def _fire(self, kind: str, shipment_id: str) -> None:
        shipment = self.get(shipment_id)
        if kind == "settle_refund":
            self._settle_refund(shipment)
        elif shipment["refund_status"] in ("submitted", "refunded", "not_applicable"):
            return
        elif kind == "scan" and shipment["status"] == "pre_transit":
            self.track(shipment_id, "in_transit")
        elif kind == "deliver" and shipment["status"] in ("pre_transit", *_ON_THE_WAY):
            self.track(shipment_id, "delivered")

    def _settle_refund(self, shipment: Document) -> None:
        answer = self.settings.refund_status
        if shipment["status"] != "pre_transit" or answer == "rejected":
            self._reject_refund(shipment)
            return
        shipment["refund_status"] = answer
        self.ledger.record("label_voided" if answer == "refunded" else "label_not_billed", shipment)
        self._save(shipment, "cancelled" if answer == "refunded" else None)
        self._tell(shipment)

    def _reject_refund(self, shipment: Document) -> None:
        shipment["refund_status"] = "rejected"
        self.ledger.record("void_rejected", shipment)
        self._save(shipment)

    def _save(self, shipment: Document, status: str | None = None) -> None:
        if status is not None:
            shipment["status"] = shipment["tracker"]["status"] = status
            detail = {"object": "TrackingDetail", "status": status, "datetime": self._now()}
            shipment["tracker"].setdefault("tracking_details", []).append(detail)
        shipment["updated_at"] = self._now()
        self.store.save(shipment)

    def _tell(self, shipment: Document) -> None:
        result = {
            "id": shipment["tracker"]["id"],
            "object": "Tracker",
            "shipment_id": shipment["id"],
            "tracking_code": shipment["tracking_code"],
            "status": shipment["status"],
            "updated_at": shipment["updated_at"],
        }
        event = {"id": _new_id("evt"), "object": "Event", "description": "tracker.updated", "result": result}
        self.webhooks.enqueue(json.dumps(event))

    def _now(self) -> str:
        return datetime.fromtimestamp(self.store.now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(16)}"


def _check_address(address: dict[str, Any]) -> None:
    if address.get("zip") == "00000" or "UNDELIVERABLE" in str(address.get("street1", "")).upper():
        raise CarrierRefusal(
            422, "ADDRESS.VERIFY.FAILURE", "Unable to verify address: no parcel can be delivered there."
        )


def _new_shipment(given: dict[str, Any], now: str, services: Sequence[Sequence[Any]]) -> Document:
    shipment_id, origin = _new_id("shp"), given.get("from_address")
    offered = services if isinstance(origin, dict) and origin.get("zip") else ()
    rates = [
        {
            "id": _new_id("rate"),
            "object": "Rate",
            "carrier": "SimPost",
            "service": service,
            "rate": price,
            "currency": currency,
            "delivery_days": days,
            "shipment_id": shipment_id,
        }
        for service, price, days, currency in offered
    ]
    error = {"carrier": "SimPost", "type": "rate_error", "message": "Unable to rate this shipment."}
    return {
        "id": shipment_id,
        "object": "Shipment",
        "mode": "test",
        "created_at": now,
        "updated_at": now,
        "reference": given.get("reference"),
        "status": "unknown",
        "to_address": given["to_address"],
        "from_address": origin,
        "parcel": given["parcel"],
        "rates": rates,
        "messages": [] if rates else [error],
        "selected_rate": None,
        "postage_label": None,
        "tracking_code": None,
        "tracker": None,
        "refund_status": None,
    }


def _chosen_rate(shipment: Document, body: Any) -> dict[str, Any]:
    wanted = body.get("rate") if isinstance(body, dict) else None
    for rate in shipment["rates"]:
        if isinstance(wanted, dict) and rate["id"] == wanted.get("id"):
            return dict(rate)
    raise CarrierRefusal(422, "SHIPMENT.RATE.INVALID", "Give the id of one of this shipment's rates.")
