"""Control endpoints that both simulators have: health, faults, times of calls, webhook faults, clock.

They are for tests and demos, protected by nothing but the loopback address. Bodies are JSON; a body that cannot be
understood is 400 with the reason.
"""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from devstack.simulators.call_times import CallClock, CallTimes
from devstack.simulators.durable_store import DurableStore
from devstack.simulators.fault_points import FaultBoard, FaultKind, FaultMix, FaultRule
from devstack.simulators.timer_queue import TimerQueue
from devstack.simulators.webhook_sender import WebhookFaults, WebhookSender

Handler = Callable[[dict[str, Any]], Any]


def control_route(path: str, handler: Handler) -> Route:
    """A POST route that gives the handler the body merged with the path parameters and answers what it returns."""

    async def endpoint(request: Request) -> JSONResponse:
        raw = await request.body()
        try:
            body = (await request.json()) if raw else {}
            return JSONResponse(handler({**body, **request.path_params}))
        except (ValueError, TypeError, KeyError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=400)

    return Route(path, endpoint, methods=["POST"])


def view_route(path: str, view: Callable[[Request], Any]) -> Route:
    """A GET route that answers what the view returns, as JSON."""

    async def endpoint(request: Request) -> JSONResponse:
        return JSONResponse(view(request))

    return Route(path, endpoint, methods=["GET"])


class SharedControls:
    """Health, faults, times of calls, webhooks and clock of one simulator."""

    def __init__(
        self, store: DurableStore, faults: FaultBoard, calls: CallClock, webhooks: WebhookSender, timers: TimerQueue
    ) -> None:
        self._store = store
        self._faults = faults
        self._calls = calls
        self._webhooks = webhooks
        self._timers = timers

    def routes(self) -> list[Route]:
        return [
            view_route("/_control/health", lambda _: {"status": "ok"}),
            view_route("/_control/faults", lambda _: self._faults.state()),
            view_route(
                "/_control/webhooks", lambda _: {"url": self._webhooks.url, "pending": self._webhooks.pending()}
            ),
            control_route("/_control/faults", self._add_fault),
            Route("/_control/faults", self._clear_faults, methods=["DELETE"]),
            control_route("/_control/fault_mix", self._set_mix),
            view_route("/_control/call_times", lambda _: self._calls.state()),
            control_route("/_control/call_times", self._set_call_times),
            control_route("/_control/webhooks", self._set_webhooks),
            control_route("/_control/clock", self._advance_clock),
        ]

    def _add_fault(self, body: dict[str, Any]) -> dict[str, Any]:
        self._faults.add(FaultRule(**{**body, "kind": FaultKind(body["kind"])}))
        return self._faults.state()

    async def _clear_faults(self, _: Request) -> JSONResponse:
        self._faults.clear()
        return JSONResponse(self._faults.state())

    def _set_mix(self, body: dict[str, Any]) -> dict[str, Any]:
        rates = {FaultKind(kind): float(rate) for kind, rate in body["rates"].items()}
        self._faults.set_mix(FaultMix(**{**body, "rates": rates}))
        return self._faults.state()

    def _set_call_times(self, body: dict[str, Any]) -> dict[str, Any]:
        """An empty body answers at once again."""
        self._calls.set(CallTimes(**body) if body else None)
        return self._calls.state()

    def _set_webhooks(self, body: dict[str, Any]) -> dict[str, Any]:
        if "url" in body:
            self._webhooks.send_to(body.pop("url"))
        self._webhooks.set_faults(WebhookFaults(**body))
        return {"url": self._webhooks.url, "pending": self._webhooks.pending()}

    def _advance_clock(self, body: dict[str, Any]) -> dict[str, Any]:
        now = self._store.advance_clock(float(body["advance_seconds"]))
        self._timers.fire_due()
        self._timers.wake()
        return {"now": now}
