"""The way of one request through the simulator: key, faults, idempotency, execution, answer.

The order of the checks is Stripe's as documented at docs.stripe.com/error-low-level and /api/idempotent_requests:
a rate limit comes before the idempotency layer; what is kept is the first answer once an endpoint began to execute,
a 500 included; refused parameters, a conflict and a rate limit are not kept.
"""

import base64
import binascii
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devstack.simulators.call_times import CallClock
from devstack.simulators.fault_points import REFUSALS, FaultBoard, FaultKind, FaultRule, after_effect, before_effect
from devstack.stripe.account import Call, StripeAccount
from devstack.stripe.errors import (
    StripeFailure,
    forbidden,
    invalid_request,
    key_in_use,
    key_reused,
    rate_limited,
    refused,
    server_error,
    unauthorized,
    unknown_url,
)
from devstack.stripe.objects import API_VERSION
from devstack.stripe.parameters import Params, checked, decode_form
from devstack.stripe.reads import Operation, StripeReads

SCHEMA = """
CREATE TABLE IF NOT EXISTS idempotency_keys (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL,
    request_id TEXT NOT NULL, saved_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS payment_intents_by_order
    ON documents (json_extract(body, '$.metadata."order_id"')) WHERE kind = 'payment_intent';
"""

_KEY_LIFETIME_SECONDS = 24 * 3600
_LONGEST_KEY = 255


@dataclass(frozen=True)
class _Arrival:
    """A request that was let in, before it executes."""

    operation: str
    run: Operation
    subject: str
    raw: Params
    fingerprint: str
    request_id: str
    key: str | None
    request: Request


class StripeRequests:
    """Makes routes of operations. Keys in flight live in memory: a killed process executed nothing that it held."""

    def __init__(
        self, account: StripeAccount, reads: StripeReads, faults: FaultBoard, calls: CallClock, api_key: str
    ) -> None:
        self._account = account
        self._reads = reads
        self._faults = faults
        self._calls = calls
        self._api_key = api_key
        self._in_flight: set[str] = set()

    def route(self, method: str, path: str, operation: str, run: Operation) -> Route:
        async def endpoint(request: Request) -> Response:
            return await self._answer(request, lambda request_id: self._handle(request, operation, run, request_id))

        return Route(path, endpoint, methods=[method])

    async def unknown(self, request: Request) -> Response:
        async def refuse(_: str) -> Response:
            self._check_api_key(request)
            raise unknown_url(request.method, request.url.path)

        return await self._answer(request, refuse)

    async def _answer(self, request: Request, handle: Callable[[str], Awaitable[Response]]) -> Response:
        request_id = f"req_{secrets.token_hex(7)}"
        try:
            return await handle(request_id)
        except StripeFailure as failure:
            return _response(failure.status, json.dumps(failure.body).encode(), request_id, None)

    async def _handle(self, request: Request, operation: str, run: Operation, request_id: str) -> Response:
        encoded = (await request.body()).decode() if request.method == "POST" else request.url.query
        fault = self._faults.pick(operation)
        if fault and fault.kind is FaultKind.RATE_LIMIT_429:
            raise rate_limited()
        self._check_api_key(request)
        raw = decode_form(encoded)
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        fingerprint = f"{request.method} {request.url.path} {json.dumps(raw, sort_keys=True)}"
        arrival = _Arrival(
            operation, run, request.path_params.get("id", ""), raw, fingerprint, request_id, key, request
        )  # fmt: skip
        return await self._admit(arrival, fault)

    async def _admit(self, arrival: _Arrival, fault: FaultRule | None) -> Response:
        key = arrival.key
        if key is None:
            return await self._execute(arrival, fault)
        if len(key) > _LONGEST_KEY:
            raise invalid_request("An idempotency key has at most 255 characters.")
        if key in self._in_flight:
            raise key_in_use(key)
        self._in_flight.add(key)
        try:
            return await self._execute(arrival, fault)
        finally:
            self._in_flight.discard(key)

    async def _execute(self, arrival: _Arrival, fault: FaultRule | None) -> Response:
        await self._calls.take(arrival.operation, arrival.key or arrival.subject, arrival.request)
        instead = await before_effect(fault)
        if instead is not None:
            return instead
        if fault and fault.kind is FaultKind.ERROR_500_UNSAVED:
            raise server_error()
        if fault and fault.kind in REFUSALS:
            raise refused(REFUSALS[fault.kind], fault.code)
        replay = self._replay(arrival)
        if replay is not None:
            return after_effect(fault, replay)
        with self._account.store.transaction():
            status, body, keep = self._run(arrival)
            if fault and fault.kind is FaultKind.ERROR_500_SAVED and keep:
                status, body = 500, server_error().body
            encoded = json.dumps(body).encode()
            if arrival.key is not None and keep:
                self._keep(arrival, status, encoded)
        return after_effect(fault, _response(status, encoded, arrival.request_id, arrival.key))

    def _run(self, arrival: _Arrival) -> tuple[int, Params, bool]:
        try:
            params = checked(arrival.operation, arrival.raw)
            call = Call(params, arrival.subject, arrival.request_id, arrival.key)
            return 200, self._reads.expand(arrival.run(call), params.get("expand", [])), True
        except StripeFailure as failure:
            return failure.status, failure.body, failure.saved

    def _replay(self, arrival: _Arrival) -> Response | None:
        if arrival.key is None:
            return None
        store = self._account.store
        saved = store.row("SELECT * FROM idempotency_keys WHERE key = ?", arrival.key)
        if saved is None:
            return None
        if saved["saved_at"] <= store.now() - _KEY_LIFETIME_SECONDS:
            store.run("DELETE FROM idempotency_keys WHERE key = ?", arrival.key)
            return None
        if saved["fingerprint"] != arrival.fingerprint:
            raise key_reused(arrival.key)
        answer = _response(saved["status"], saved["body"], arrival.request_id, arrival.key)
        answer.headers["Idempotent-Replayed"] = "true"
        answer.headers["Original-Request"] = saved["request_id"]
        return answer

    def _keep(self, arrival: _Arrival, status: int, body: bytes) -> None:
        self._account.store.run(
            "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?)",
            arrival.key, arrival.fingerprint, status, body, arrival.request_id, self._account.store.now(),
        )  # fmt: skip

    def _check_api_key(self, request: Request) -> None:
        given = _given_key(request.headers.get("authorization", ""))
        if not given:
            raise unauthorized("You did not provide an API key.")
        settings = self._account.settings
        if not settings.accepts_api_key and settings.refused_key_status == 403:
            raise forbidden("The provided key does not have the required permissions for this endpoint.")
        if given != self._api_key or not settings.accepts_api_key:
            raise unauthorized(f"Invalid API Key provided: {given[:8]}****")


def _given_key(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    try:
        return base64.b64decode(value).decode().partition(":")[0] if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _response(status: int, body: bytes, request_id: str, key: str | None) -> Response:
    headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
    if key is not None:
        headers["Idempotency-Key"] = key
    return Response(body, status, headers, media_type="application/json")
