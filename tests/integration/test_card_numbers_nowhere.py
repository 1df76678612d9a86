"""One card number put into every text that anybody may send; afterwards it is nowhere."""

from __future__ import annotations

import logging
import secrets
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, inspect, text

from adapters.postgres.database import Sessions
from domain.order_states import OrderStatus
from tests.support.identities import ALL, Anybody
from tests.support.orders import Shop
from tests.support.waiting import until
from workflows.order_fulfillment import OrderFulfillment

NUMBER = "4000056655665556"
SAID = "4000 0566-5566 5556"  # as people write it
ADDRESS = {"street1": "1 Main St", "city": "Reno", "zip": "89501", "country": "US"}
ORDER: dict[str, Any] = {"customerId": "c", "items": [{"productId": "p", "quantity": 1}], "paymentMethod": "card"}
SENT: list[tuple[str, dict[str, Any]]] = [
    *(("/api/orders", ORDER | {"shippingAddress": ADDRESS | {name: SAID}}) for name in (*ADDRESS, "name", "phone")),
    ("/api/orders", ORDER | {"metadata": {"gift": f"from {SAID}"}}),
    ("/api/orders", ORDER | {"metadata": {SAID: "gift"}}),
    ("/api/orders", ORDER | {"paymentMethod": NUMBER}),
    ("/api/orders", ORDER | {NUMBER: 1}),
    ("/api/orders/ORDER/cancel", {"reason": SAID}),
    ("/api/orders/ORDER/cancel", {"by": SAID}),
    ("/api/orders/ORDER/lines/p/drop", {"reason": SAID}),
    ("/api/orders/ORDER/payment", {"paymentMethod": NUMBER}),
    ("/api/orders/ORDER/refunds", {"amount": "1", "reason": SAID, "by": "alice"}),
    ("/api/repairs/1/resolve", {"decision": "retry", "by": "alice", "note": SAID}),
    ("/api/repairs/1/resolve", {"decision": "mark_done", "by": "alice", "evidence": SAID}),
    ("/api/brake/release", {"by": "alice", "note": SAID}),
    ("/api/customers", {"customerId": "c", "name": SAID, "email": "zoe@shop.example"}),
    ("/api/customers", {"customerId": "c", "name": "Zoe", "email": f"{NUMBER}@shop.example"}),
    ("/api/products", {"productId": "p", "name": SAID, "price": "1", "currency": "USD", "onHand": 1}),
    ("/api/webhook-endpoints", {"url": "https://shop.example/", "description": SAID}),
]


async def test_a_card_number_is_refused_everywhere_and_kept_nowhere(
    api: httpx.AsyncClient,
    shop: Shop,
    sessions: Sessions,
    worker: None,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The API refuses it with 422 and without repeating it; what comes by signal is masked before it is stored."""
    caplog.set_level(logging.DEBUG)
    headers, alice = {"Idempotency-Key": secrets.token_hex(8)}, Anybody(*ALL, subject="alice")
    order = (await shop.put(await shop.product())).model_copy(update={"grace_period": timedelta(hours=1)})
    for path, body in SENT:
        answer = await api.post(path.replace("ORDER", order.order_id), json=body, headers=headers, auth=alice)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), (path, body, answer.text)
        assert not shows(answer.text), (path, body, answer.text)
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.CONFIRMED)
    await handle.signal(OrderFulfillment.cancel_order, {"reason": f"charged {SAID} twice", "by": SAID})
    assert await handle.result() is OrderStatus.CANCELED
    told = (await api.get(f"/api/orders/{order.order_id}")).text
    assert "charged •••• ••••-•••• 5556 twice" in told

    assert await tables_with_it(sessions) == []
    assert not shows(caplog.text + str(capsys.readouterr()))


def shows(said: str) -> bool:
    """Whether the number stands there in whatever writing, but for its last four digits."""
    return NUMBER[:12] in "".join(character for character in said if character.isdecimal())


async def tables_with_it(sessions: Sessions) -> list[str]:
    """Those with the number in any column of any row, whatever stands between its digits."""
    found = []
    async with sessions() as session:
        connection = await session.connection()
        for name in await connection.run_sync(_tables):
            digits = "regexp_replace(entry::text, '[^0-9]', '', 'g')"
            query = text(f'SELECT count(*) FROM "{name}" AS entry WHERE {digits} LIKE :number')  # noqa: S608
            if (await connection.execute(query, {"number": f"%{NUMBER}%"})).scalar_one():
                found.append(name)
    return found


def _tables(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()
