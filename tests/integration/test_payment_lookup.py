"""The look for a PaymentIntent whose id never arrived, on an account with thousands of payments an hour."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from activities.payments import calls as payment_calls
from activities.payments.calls import StripeCalls
from adapters.clock import now
from adapters.stripe.connection import StripeConnection
from adapters.stripe.payments import CreatedPage, PaymentSnapshot, StripeGateway
from domain.errors import TryAgain
from services.orders.book import OrderBook
from services.payments.saved_calls import SavedCall, save_call
from tests.support.orders import Shop

PAGE = 100
PER_HOUR = 6000


class BusyAccount:
    """Stripe's list of an account that goes on creating payments, 30 of them while a page is read."""

    def __init__(self, began: datetime, hours: float, wanted: str | None) -> None:
        self._payments = [
            (began + timedelta(hours=n / PER_HOUR), f"pi_{n}", "somebody") for n in range(int(hours * PER_HOUR))
        ]
        if wanted is not None:
            self._payments[0] = (began, "pi_wanted", wanted)  # the oldest of all: the last one to be read
        self.pages = 0

    async def created(self, since: datetime, until: datetime, after: str | None = None) -> CreatedPage:
        self.pages += 1
        self._payments += [(now(), f"pi_{self.pages}_{n}", "somebody") for n in range(30)]
        found = [one for one in reversed(self._payments) if since <= one[0] <= until]
        begin = next((index + 1 for index, one in enumerate(found) if one[1] == after), 0)
        page = found[begin : begin + PAGE]
        more = len(found) > begin + PAGE
        return CreatedPage([(order, _snapshot(id_)) for _, id_, order in page], page[-1][1] if more else None)


def _snapshot(payment_intent_id: str) -> PaymentSnapshot:
    return PaymentSnapshot(payment_intent_id, "requires_confirmation", None, 2000, 0, 0)


async def sent(shop: Shop) -> SavedCall:
    """A creation that was sent, and never answered."""
    order = await shop.put(await shop.product())
    async with OrderBook(shop.sessions).locked(order.order_id) as locked:
        return save_call(locked, "create", {})


async def insist(shop: Shop, stripe: Any, call: SavedCall) -> tuple[PaymentSnapshot | None, int]:
    """What was found in the end, and in how many attempts."""
    for attempt in range(1, 1000):
        try:
            return await StripeCalls(OrderBook(shop.sessions), stripe).find(call), attempt
        except TryAgain:
            continue
    raise AssertionError("it does not end")


@pytest.mark.parametrize("there", [True, False])
async def test_the_look_ends_on_a_busy_account(shop: Shop, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """Each attempt goes on where the last one stopped, up to the moment at which the first one began."""
    monkeypatch.setattr(payment_calls, "LOOK_BUDGET", -1.0)  # an attempt has time for one page
    call = await sent(shop)
    account = BusyAccount(call.first_sent_at - timedelta(hours=1), 0.999, call.order_id if there else None)
    monkeypatch.setattr(payment_calls, "CLOCKS_DIFFER", timedelta(hours=2))
    found, attempts = await insist(shop, account, call)
    assert (found is not None) == there
    assert attempts == account.pages <= PER_HOUR / PAGE + 2


async def test_an_attempt_reads_as_many_pages_as_it_has_time_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    call = await sent(shop)
    account = BusyAccount(call.first_sent_at - timedelta(hours=1), 0.999, call.order_id)
    monkeypatch.setattr(payment_calls, "CLOCKS_DIFFER", timedelta(hours=2))
    assert (await insist(shop, account, call))[1] == 1


@pytest.fixture
async def stripe(shop: Shop) -> AsyncIterator[StripeGateway]:
    connection = StripeConnection(shop.settings)
    yield StripeGateway(connection)
    await connection.aclose()


async def test_the_look_goes_over_the_pages_of_stripes_list(
    shop: Shop, stripe: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the simulator, three payments a page: ours is behind the first page, and of another round it is not ours."""
    call = await sent(shop)
    made = await shop.paid_at_stripe(call.order_id)
    for _ in range(7):
        await shop.paid_at_stripe("another")
    monkeypatch.setattr("adapters.stripe.payments.PAGE", 3)
    found, _ = await insist(shop, stripe, call)
    assert found is not None and found.id == made
    second = SavedCall(call.order_id, "create", 1, {}, call.first_sent_at, round=2)
    assert (await insist(shop, stripe, second))[0] is None
