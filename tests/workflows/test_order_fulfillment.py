"""The order's whole way, on the real servers."""

from __future__ import annotations

from domain.commands import ParcelStatus
from domain.order_states import OrderStatus
from tests.support.orders import Books, Shop, steps_run
from tests.support.waiting import until


async def test_a_good_order_goes_on_to_delivered(shop: Shop, worker: None) -> None:
    """Reserved, paid, shipped, delivered: the books agree at every far end."""
    order = await shop.put(await shop.product(on_hand=10, price="10.00"), quantity=2)
    handle = await shop.start(order)
    await until(lambda: shop.status(order.order_id), OrderStatus.READY_TO_SHIP)
    await shop.parcel(order.order_id, "in_transit")
    await handle.signal("parcel_changed", ParcelStatus.IN_TRANSIT)
    await until(lambda: shop.status(order.order_id), OrderStatus.SHIPPED)
    await handle.signal("parcel_changed", ParcelStatus.DELIVERED)
    assert await handle.result() is OrderStatus.DELIVERED
    assert await shop.books(order.order_id) == Books(
        status="DELIVERED", payment_status="Captured", on_hand=8, kept=2000, labels=1
    )
    assert await steps_run(handle) == ["ship_order"]  # all others were short, and done inside the worker
