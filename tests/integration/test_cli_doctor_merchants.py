"""`ordersaga doctor` about webhooks to merchants: which endpoints fail, and which get nothing any more."""

from __future__ import annotations

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from commandline.doctor.checks import State
from commandline.doctor.merchants import check_merchants
from domain.merchant_webhooks import EndpointState
from services.merchant_webhooks import endpoints
from services.merchant_webhooks.endpoints import EndpointChange
from tests.support.consumers import order_event
from tests.support.merchants import LIMITS, Merchants


async def test_tells_of_endpoints_in_trouble(engine: AsyncEngine, sessions: Sessions, settings: Settings) -> None:
    """Each with its mend and without the path of its address; who disabled one on purpose is not warned of it."""
    merchants = Merchants(engine, sessions, settings)
    await merchants.ask("TRUNCATE webhook_deliveries, webhook_secrets, webhook_endpoints")
    assert await check_merchants(settings) == []
    ids = [(await merchants.register(f"http://127.0.0.1:1/hidden-{number}"))[0] for number in range(3)]
    async with sessions() as session, session.begin():
        await endpoints.change_endpoint(session, ids[2], EndpointChange(state=EndpointState.DISABLED), LIMITS)
    (well,) = await check_merchants(settings)
    assert (well.state, well.found) == (State.OK, "3 endpoints, none fails; 1 were disabled by somebody")

    await merchants.happen(order_event("a", 1), order_event("a", 2))
    await merchants.ask(
        "UPDATE webhook_endpoints SET failures = 4, failed_at = '2026-05-01 08:30Z' WHERE endpoint_id = :id",
        id=ids[0],
    )
    disabled = "UPDATE webhook_endpoints SET state = 'disabled', disabled_because = 'gone' WHERE endpoint_id = :id"
    await merchants.ask(disabled, id=ids[1])
    failing, gone = await check_merchants(settings)
    assert (failing.state, gone.state) == (State.WARN, State.WARN)
    assert failing.name == f"Merchant webhooks 127.0.0.1 {ids[0]}"
    assert failing.found == "has failed 4 times in a row, last at 2026-05-01 08:30 UTC; 2 events wait for it"
    assert (gone.found, f"enable {ids[1]}" in gone.mend) == (
        "disabled after it answered 410; 2 events wait for it",
        True,
    )
    nowhere = settings.model_copy(update={"database_url": SecretStr("postgresql://x:x@127.0.0.1:9/x")})
    assert await check_merchants(nowhere) == []
