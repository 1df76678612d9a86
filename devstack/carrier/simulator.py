"""A stand-in for a carrier: a process of its own that speaks a small EasyPost-like JSON API under `/v2`.

This is *our reading* of EasyPost's documentation, never checked against EasyPost itself. Its use is the hard case: a
far end that spends money and takes no idempotency key.

Each behaviour, and its page below docs.easypost.com:

| behaviour | page |
|---|---|
| the API key is the user name of basic authentication | docs/authentication |
| create, retrieve, list, buy; `reference`; rates, which need both addresses | docs/shipments |
| what a carrier says when it gives no rates | docs/shipments/messages |
| refund: four statuses; a rejected one may be asked for again | docs/shipments/shipping-refund |
| tracking statuses; `tracker.updated` | docs/trackers |
| error shape; an address that cannot be verified | guides/errors-guide |
| `X-Hmac-Signature`; retried until a 2xx | guides/webhooks-guide |

Ours, not EasyPost's: everything under `/_control`, prices, the list's filter by `reference`, the addresses that are
refused (zip 00000, UNDELIVERABLE in street1), the same answer when a refund is asked for twice, `shipment_id` in the
webhook's result, and a webhook with status `cancelled` once a label is voided.
"""

import argparse
import base64
import binascii
import hmac
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.carrier.ledger import SCHEMA, audit
from devstack.carrier.shipments import CarrierRefusal, CarrierSettings, Shipments, hmac_signature
from devstack.simulators.call_times import CallClock
from devstack.simulators.control_endpoints import SharedControls, control_route, view_route
from devstack.simulators.durable_store import Document, DurableStore
from devstack.simulators.fault_points import REFUSALS, FaultBoard, FaultKind, FaultRule, after_effect, before_effect
from devstack.simulators.secrets import API_KEY, WEBHOOK_SECRET
from devstack.simulators.server import background, serve
from devstack.simulators.webhook_sender import WebhookSender

_LARGEST_PAGE = 100
Operation = Callable[[Request, Any], Document]


class CarrierRequests:
    """Makes routes of operations: key, faults, one transaction, answer."""

    def __init__(self, shipments: Shipments, faults: FaultBoard, calls: CallClock, api_key: str) -> None:
        self._shipments = shipments
        self._faults = faults
        self._calls = calls
        self._api_key = api_key

    def route(self, method: str, path: str, operation: str, run: Operation, status: int = 200) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return await self._handle(request, operation, run, status)
            except CarrierRefusal as refusal:
                return JSONResponse(refusal.body, refusal.status)

        return Route(path, endpoint, methods=[method])

    async def _handle(self, request: Request, operation: str, run: Operation, status: int) -> Response:
        fault = self._faults.pick(operation)
        self._check_api_key(request)
        body = _decoded(await request.body())
        if fault and fault.kind is FaultKind.RATE_LIMIT_429:
            raise CarrierRefusal(429, "RATE_LIMITED", "Too many requests.")
        if fault and fault.kind in REFUSALS:
            raise _refused(REFUSALS[fault.kind], fault.code)
        await self._calls.take(operation, request.path_params.get("id", ""), request)
        instead = await before_effect(fault)
        if instead is not None:
            return instead
        if fault and fault.kind is FaultKind.ERROR_500_UNSAVED:
            raise _server_error()
        return after_effect(fault, self._execute(request, body, run, status, fault))

    def _execute(self, request: Request, body: Any, run: Operation, status: int, fault: FaultRule | None) -> Response:
        with self._shipments.store.transaction():
            try:
                answer: Document = run(request, body)
            except CarrierRefusal as refusal:
                status, answer = refusal.status, refusal.body
        if fault and fault.kind is FaultKind.ERROR_500_SAVED:
            raise _server_error()
        return JSONResponse(answer, status)

    def _check_api_key(self, request: Request) -> None:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            user = base64.b64decode(value).partition(b":")[0] if scheme.lower() == "basic" else b""
        except binascii.Error:
            user = b""
        if not hmac.compare_digest(user, self._api_key.encode()):
            raise CarrierRefusal(401, "APIKEY.INACTIVE", "This API key is missing or not active.")


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else {}
    except ValueError as error:
        raise CarrierRefusal(400, "BAD_REQUEST", "The body is not JSON.") from error


def _refused(status: int, code: str | None) -> CarrierRefusal:
    usual = "PAYMENT_REQUIRED" if status == 402 else "BAD_REQUEST"
    return CarrierRefusal(status, code or usual, "This request is refused (simulated).")


def _server_error() -> CarrierRefusal:
    return CarrierRefusal(500, "INTERNAL_SERVER_ERROR", "Something went wrong at our end (simulated).")


def build_app(data: Path, api_key: str, webhook_url: str | None, secret: str, settings: CarrierSettings) -> Starlette:
    store = DurableStore(data, SCHEMA)
    webhooks = WebhookSender(store, webhook_url, hmac_signature(secret))
    shipments = Shipments(store, webhooks, settings)
    faults, calls = FaultBoard(), CallClock()
    routes = [
        *_api_routes(CarrierRequests(shipments, faults, calls, api_key), shipments),
        *SharedControls(store, faults, calls, webhooks, shipments.timers).routes(),
        *_control_routes(shipments),
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with background(shipments.timers.run(), webhooks.run()):
            yield
        store.close()

    return Starlette(routes=routes, lifespan=lifespan)


def _api_routes(requests: CarrierRequests, shipments: Shipments) -> list[Route]:
    many, one = "/v2/shipments", "/v2/shipments/{id}"

    def list_newest(request: Request, _: Any) -> Document:
        query = request.query_params
        size = query.get("page_size", "20")
        page_size = min(int(size), _LARGEST_PAGE) if size.isdecimal() else 20
        return shipments.list_newest(query.get("reference"), page_size, query.get("before_id"))

    def by_id(operation: Callable[[str], Document]) -> Operation:
        return lambda request, _: operation(request.path_params["id"])

    def buy(request: Request, body: Any) -> Document:
        return shipments.buy(request.path_params["id"], body)

    return [
        requests.route("POST", many, "shipments.create", lambda _, body: shipments.create(body), 201),
        requests.route("GET", many, "shipments.list", list_newest),
        requests.route("GET", one, "shipments.retrieve", by_id(shipments.get)),
        requests.route("POST", f"{one}/buy", "shipments.buy", buy),
        requests.route("POST", f"{one}/refund", "shipments.refund", by_id(shipments.refund)),
    ]


def _control_routes(shipments: Shipments) -> list[Route]:
    def track(body: dict[str, Any]) -> Document:
        try:
            with shipments.store.transaction():
                return shipments.track(body["id"], body["status"])
        except CarrierRefusal as refusal:
            raise ValueError(str(refusal)) from refusal

    def change_settings(body: dict[str, Any]) -> Document:
        vars(shipments.settings).update(vars(CarrierSettings(**{**vars(shipments.settings), **body})))
        return vars(shipments.settings)

    ledger = shipments.ledger
    return [
        control_route("/_control/shipments/{id}/track", track),
        control_route("/_control/settings", change_settings),
        view_route("/_control/settings", lambda _: vars(shipments.settings)),
        view_route("/_control/ledger", lambda request: ledger.entries(request.query_params.get("reference"))),
        view_route("/_control/audit", lambda _: audit(ledger.entries())),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m devstack.carrier.simulator", description="A stand-in for a carrier."
    )
    parser.add_argument("--data", type=Path, required=True, help="the SQLite file; made when it is not there")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8430)
    parser.add_argument("--webhook-url")
    parser.add_argument("--webhook-secret", default=os.environ.get(WEBHOOK_SECRET, "carrier_simulator_secret"))
    parser.add_argument("--api-key", default=os.environ.get(API_KEY, "EZTK_simulator"))
    parser.add_argument(
        "--scan-after", type=float, help="seconds from purchase to first scan (default: never by itself)"
    )
    parser.add_argument(
        "--deliver-after", type=float, help="seconds from purchase to delivery (default: never by itself)"
    )
    parser.add_argument("--refund-delay", type=float, default=0.0, help="seconds until a void is confirmed")
    given = parser.parse_args()
    settings = CarrierSettings(given.scan_after, given.deliver_after, given.refund_delay)
    app = build_app(given.data, given.api_key, given.webhook_url, given.webhook_secret, settings)
    serve(app, given.host, given.port)


if __name__ == "__main__":
    main()
