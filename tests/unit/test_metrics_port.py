"""Where the API tells its metrics: to whoever reaches it on a developer's machine, else on a port of their own."""

from __future__ import annotations

import httpx
import pytest
from pydantic import SecretStr

from adapters.settings import Settings
from adapters.telemetry.health_page import served
from api.app import create_app
from api.metrics.routes import ApiMetrics, metrics_page
from devstack.stack.ports import LOOPBACK, free_port
from domain.parcels import ShippingOrigin

HERE = Settings(identity_jwks="none")
ELSEWHERE = {
    "public_url": "https://orders.shop.test",
    "service_secret": SecretStr("a secret of the shop"),
    "shipping_origin": ShippingOrigin(street1="1 Main St", city="Reno", zip="89501", country="US"),
}


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        (HERE, 500),  # it is there, and this application is not started
        (HERE.model_copy(update={"api_prometheus_port": 9466}), 404),
        (HERE.model_copy(update=ELSEWHERE), 404),
    ],
    ids=["this machine", "own port", "elsewhere"],
)
async def test_others_get_no_metrics_from_the_apis_port(settings: Settings, status: int) -> None:
    transport = httpx.ASGITransport(create_app(settings), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{LOOPBACK}") as client:
        assert (await client.get("/metrics")).status_code == status


class NoBooks:
    """A database that is away."""

    def connect(self) -> None:
        raise OSError


async def test_the_port_of_their_own_has_them() -> None:
    metrics, port = ApiMetrics(), free_port()
    metrics.answered("GET", "/api/orders", 200, 0.1)

    async def page() -> object:
        return await metrics_page(metrics, NoBooks())  # type: ignore[arg-type]

    async with (
        served(LOOPBACK, port, {"/metrics": page}),  # type: ignore[dict-item]
        httpx.AsyncClient(trust_env=False) as client,
    ):
        answer = await client.get(f"http://{LOOPBACK}:{port}/metrics")
        assert (await client.get(f"http://{LOOPBACK}:{port}/api/orders")).status_code == 404
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert 'route="/api/orders",status="200"} 1.0' in answer.text
    assert "ordersaga_books_readable 0.0" in answer.text
