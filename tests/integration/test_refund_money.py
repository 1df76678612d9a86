"""Whatever is asked of an order's money, in whatever order: never more than was captured, and every book says so."""

from __future__ import annotations

from typing import NamedTuple

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.refunds import GiveRefund
from tests.support.orders import Shop
from tests.support.refunds import RefundSteps, ask

pytestmark = pytest.mark.slow

CAPTURED = 2000  # minor units


class Wish(NamedTuple):
    """A request for a refund, what Stripe says of it at first, and what the bank says of one that was pending."""

    key: str
    minor: int
    at_first: str
    in_the_end: str


WISHES = st.builds(
    Wish,
    key=st.sampled_from(["a", "b", "c", "d", "e"]),
    minor=st.one_of(st.integers(1, CAPTURED), st.sampled_from([1, 500, 1000, 2000, 2001])),
    at_first=st.sampled_from(["succeeded", "succeeded", "pending", "failed"]),
    in_the_end=st.sampled_from(["succeeded", "failed"]),
)


def expected(wish: Wish, given_out: dict[str, Wish]) -> int:
    """The status that the rules ask for."""
    known = given_out.get(wish.key)
    if known is not None and known.minor != wish.minor:
        return 422
    if known is None and wish.minor > CAPTURED - sum(one.minor for one in given_out.values() if not failed(one)):
        return 409
    return {"succeeded": 201, "pending": 202, "failed": 409}[(known or wish).at_first]


def failed(wish: Wish) -> bool:
    return wish.at_first == "failed"


@settings(max_examples=15, deadline=None, suppress_health_check=[*HealthCheck])
@given(wishes=st.lists(WISHES, min_size=1, max_size=8))
async def test_any_sequence_of_refunds_keeps_the_books(
    api: httpx.AsyncClient, shop: Shop, refunds: RefundSteps, worker: None, wishes: list[Wish]
) -> None:
    """Each request is answered by the rules; Stripe's ledger, our payment and our refunds have one sum."""
    order_id = await refunds.captured()
    given_out: dict[str, Wish] = {}
    for wish in wishes:
        await refunds.stripe_answers(wish.at_first)
        wanted = expected(wish, given_out)
        answer = await ask(api, order_id, f"{wish.minor / 100:.2f}", wish.key)
        assert answer.status_code == wanted, answer.text
        if answer.status_code < 300 or answer.json()["code"] == "refund_failed":
            given_out.setdefault(wish.key, wish)
    for wish in given_out.values():
        if wish.at_first == "pending":
            refund = GiveRefund(order_id=order_id, key=wish.key)
            await refunds.bank_says(refund, wish.in_the_end)
            await refunds.follow(refund)

    last = {wish.key: wish.in_the_end if wish.at_first == "pending" else wish.at_first for wish in given_out.values()}
    total = sum(wish.minor for wish in given_out.values() if last[wish.key] == "succeeded")
    listed = (await api.get(f"/api/orders/{order_id}/refunds")).json()["refunds"]
    assert {one["key"]: one["status"] for one in listed} == last
    assert total == await refunds.given(order_id) == (await refunds.payment(order_id)).refunded_minor <= CAPTURED
    status = "Refunded" if total == CAPTURED else "PartiallyRefunded" if total else "Captured"
    assert (await shop.order(order_id)).payment_status == status
