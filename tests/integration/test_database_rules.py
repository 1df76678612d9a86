"""What must never happen is refused by PostgreSQL itself, whatever the code does; the error names the rule."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from adapters.postgres.database import Sessions
from domain.order_states import TRANSITIONS, OrderStatus, PaymentStatus
from tests.support.orders import Shop

FORBIDDEN = [(a, b) for a, b in product(OrderStatus, OrderStatus) if a != b and (a, b) not in TRANSITIONS]
ALLOWED = sorted(TRANSITIONS | {(status, status) for status in OrderStatus})

TIMELINE = """
    INSERT INTO timeline (order_id, sequence, previous, at, from_status, to_status, what)
    VALUES (:order_id, :sequence, :previous, now(), :from_status, :to_status, 'written by wrong code')
"""
ORDER = "UPDATE orders SET status = :status, version = :version WHERE order_id = :order_id"
PAYMENT = """
    INSERT INTO payments (payment_intent_id, order_id, attempt, state, amount_minor, captured_minor, refunded_minor,
                          currency, updated_at)
    VALUES (:id, :order_id, :attempt, :state, :amount, :captured, :refunded, 'USD', now())
"""


class WrongCode:
    """Statements as wrong code would send them, past every check of ours."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def run(self, *statements: tuple[str, dict[str, Any]]) -> None:
        """All of them in one transaction."""
        async with self._sessions() as session, session.begin():
            connection = await session.connection()
            for statement, values in statements:
                await connection.execute(text(statement), values)

    async def refused(self, rule: str, *statements: tuple[str, dict[str, Any]]) -> None:
        """The database refuses them, and says by which rule."""
        with pytest.raises(IntegrityError) as error:
            await self.run(*statements)
        assert f'"{rule}"' in str(error.value.orig)


@pytest.fixture
def wrong_code(sessions: Sessions) -> WrongCode:
    return WrongCode(sessions)


@pytest.fixture
async def order_id(shop: Shop) -> str:
    return (await shop.put(await shop.product())).order_id


def _row(order_id: str, sequence: int, from_status: str | None, to_status: str, **other: Any) -> tuple[str, Any]:
    return TIMELINE, {
        "order_id": order_id,
        "sequence": sequence,
        "previous": sequence - 1,
        "from_status": from_status,
        "to_status": to_status,
    } | other


async def _brought_to(wrong_code: WrongCode, order_id: str, status: OrderStatus) -> int:
    """Leads the order to `status` by allowed transitions; the sequence of its last timeline row."""
    way = _shortest_way(status)
    rows = [_row(order_id, sequence, from_, to) for sequence, (from_, to) in enumerate(pairwise(way), start=2)]
    last = (ORDER, {"order_id": order_id, "status": status, "version": len(way)})
    await wrong_code.run(*rows, last)
    return len(way)


def _shortest_way(to: OrderStatus) -> list[OrderStatus]:
    ways = [[OrderStatus.PLACED]]
    for way in ways:
        if way[-1] is to:
            return way
        ways += [[*way, after] for before, after in sorted(TRANSITIONS) if before is way[-1] and after not in way]
    raise AssertionError(f"no way leads to {to}")


@pytest.mark.parametrize(("from_", "to"), FORBIDDEN)
async def test_a_forbidden_transition_cannot_be_stored(
    wrong_code: WrongCode, order_id: str, from_: OrderStatus, to: OrderStatus
) -> None:
    """Every pair that the domain does not allow, from an order that really is in the first state."""
    last = await _brought_to(wrong_code, order_id, from_)
    row = _row(order_id, last + 1, from_, to)
    await wrong_code.refused("fk_timeline_transition_is_allowed", row)
    order = (ORDER, {"order_id": order_id, "status": to, "version": last + 1})
    await wrong_code.refused("fk_timeline_transition_is_allowed", row, order)


@pytest.mark.parametrize(("from_", "to"), ALLOWED)
async def test_an_allowed_transition_can_be_stored(
    wrong_code: WrongCode, shop: Shop, order_id: str, from_: OrderStatus, to: OrderStatus
) -> None:
    """The rules refuse nothing that the domain allows, a row that leaves the state as it is among it."""
    last = await _brought_to(wrong_code, order_id, from_)
    order = (ORDER, {"order_id": order_id, "status": to, "version": last + 1})
    await wrong_code.run(_row(order_id, last + 1, from_, to), order)
    assert await shop.status(order_id) is to


async def test_a_timeline_row_begins_where_the_one_before_ended(wrong_code: WrongCode, order_id: str) -> None:
    """A transition that is allowed as such is refused for an order that is somewhere else."""
    await wrong_code.refused("fk_timeline_follows_the_row_before", _row(order_id, 2, "RESERVED", "CONFIRMED"))


async def test_a_timeline_has_no_gap(wrong_code: WrongCode, order_id: str) -> None:
    """Neither by leaving a number out nor by claiming another predecessor."""
    gap = _row(order_id, 3, "PLACED", "RESERVED")
    await wrong_code.refused("fk_timeline_follows_the_row_before", gap)
    claimed = _row(order_id, 3, "PLACED", "RESERVED", previous=1)
    await wrong_code.refused("ck_timeline_no_gaps", claimed)


async def test_a_timeline_row_cannot_be_written_twice(wrong_code: WrongCode, order_id: str) -> None:
    """Two writers that both believe to be next: the second one is refused."""
    row = _row(order_id, 2, "PLACED", "RESERVED")
    await wrong_code.run(row, (ORDER, {"order_id": order_id, "status": "RESERVED", "version": 2}))
    await wrong_code.refused("pk_timeline", row)


async def test_a_timeline_row_in_the_middle_cannot_be_taken_away(wrong_code: WrongCode, order_id: str) -> None:
    """History stays: the row after it, or the order itself, leans on it."""
    await _brought_to(wrong_code, order_id, OrderStatus.CONFIRMED)
    delete = "DELETE FROM timeline WHERE order_id = :order_id AND sequence = :sequence"
    await wrong_code.refused("fk_timeline_follows_the_row_before", (delete, {"order_id": order_id, "sequence": 2}))
    await wrong_code.refused(
        "fk_orders_status_is_the_timelines_last", (delete, {"order_id": order_id, "sequence": 3})
    )


async def test_an_order_has_the_status_of_a_row_of_its_timeline(wrong_code: WrongCode, order_id: str) -> None:
    """Neither another status at the same version nor a version that does not exist."""
    rule = "fk_orders_status_is_the_timelines_last"
    await wrong_code.refused(rule, (ORDER, {"order_id": order_id, "status": "DELIVERED", "version": 1}))
    await wrong_code.refused(rule, (ORDER, {"order_id": order_id, "status": "PLACED", "version": 2}))


async def test_an_order_that_was_set_back_cannot_take_another_way(wrong_code: WrongCode, order_id: str) -> None:
    """A status of the past can be written, but no history beside the one that there is."""
    await _brought_to(wrong_code, order_id, OrderStatus.CONFIRMED)
    await wrong_code.run((ORDER, {"order_id": order_id, "status": "PLACED", "version": 1}))
    await wrong_code.refused("pk_timeline", _row(order_id, 2, "PLACED", "REJECTED"))


@pytest.mark.parametrize("status", [status for status in OrderStatus if status is not OrderStatus.PLACED])
async def test_a_timeline_begins_with_placed(wrong_code: WrongCode, order_id: str, status: OrderStatus) -> None:
    """No order appears from nowhere, half way through."""
    change = "UPDATE timeline SET to_status = :status WHERE order_id = :order_id AND sequence = 1"
    await wrong_code.refused("ck_timeline_begins_placed", (change, {"order_id": order_id, "status": status}))


async def test_only_the_first_row_has_no_state_before_it(wrong_code: WrongCode, order_id: str) -> None:
    """Otherwise a row without `from` would escape both foreign keys."""
    await wrong_code.refused("ck_timeline_only_the_first_has_no_from", _row(order_id, 2, None, "DELIVERED"))


async def test_stock_cannot_be_oversold(wrong_code: WrongCode, shop: Shop) -> None:
    """Not by one piece more than there is, not by taking away what is reserved, and nothing goes below zero."""
    row = {"product": await shop.product(on_hand=10)}
    reserve = "UPDATE stock SET reserved = 11 WHERE product_id = :product"
    await wrong_code.refused("ck_stock_never_oversold", (reserve, row))
    await wrong_code.run(("UPDATE stock SET reserved = 10 WHERE product_id = :product", row))
    shrink = "UPDATE stock SET on_hand = 9 WHERE product_id = :product"
    await wrong_code.refused("ck_stock_never_oversold", (shrink, row))
    release = "UPDATE stock SET reserved = -1 WHERE product_id = :product"
    await wrong_code.refused("ck_stock_reserved_not_negative", (release, row))


def _payment(order_id: str, name: str, state: str, *, attempt: int, amount: int = 1000, **other: int) -> Any:
    paid = {"captured": 0, "refunded": 0} | other
    return PAYMENT, {
        "id": f"pi_{order_id}_{name}", "order_id": order_id, "attempt": attempt, "state": state, "amount": amount,
    } | paid  # fmt: skip


LIVE = ["created", "requires_action", "authorized", "captured"]


@pytest.mark.parametrize("first", LIVE)
@pytest.mark.parametrize("second", LIVE)
async def test_an_order_has_one_live_payment(wrong_code: WrongCode, order_id: str, first: str, second: str) -> None:
    """A second PaymentIntent that could still take money is refused."""
    await wrong_code.run(_payment(order_id, "first", first, attempt=1))
    again = _payment(order_id, "second", second, attempt=2)
    await wrong_code.refused("uq_payments_one_live_per_order", again)


@pytest.mark.parametrize("over", ["voided", "declined"])
async def test_a_payment_that_is_over_makes_room(wrong_code: WrongCode, order_id: str, over: str) -> None:
    """A further business attempt is allowed once the former one can take nothing any more; its number is new."""
    await wrong_code.run(_payment(order_id, "first", over, attempt=1))
    await wrong_code.refused("uq_payments_order_id_attempt", _payment(order_id, "second", "created", attempt=1))
    await wrong_code.run(_payment(order_id, "second", "created", attempt=2))


@pytest.mark.parametrize(
    ("captured", "refunded", "rule"),
    [
        (1001, 0, "ck_payments_captured_within_amount"),
        (-1, 0, "ck_payments_captured_within_amount"),
        (1000, 1001, "ck_payments_refunded_within_captured"),
        (0, 1, "ck_payments_refunded_within_captured"),
        (500, -1, "ck_payments_refunded_within_captured"),
    ],
)
async def test_money_stays_within_its_bounds(
    wrong_code: WrongCode, order_id: str, captured: int, refunded: int, rule: str
) -> None:
    """Captured at most the amount, refunded at most what was captured, neither below zero."""
    wrong = _payment(order_id, "wrong", "captured", attempt=1, captured=captured, refunded=refunded)
    await wrong_code.refused(rule, wrong)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE orders SET payment_status = 'Perhaps' WHERE order_id = :id", "ck_orders_payment_status_known"),
        ("UPDATE orders SET total_minor = -1 WHERE order_id = :id", "ck_orders_total_not_negative"),
        ("UPDATE order_lines SET quantity = 0 WHERE order_id = :id", "ck_order_lines_quantity_positive"),
        ("INSERT INTO order_steps VALUES (:id, 'x', 'half done', NULL, now())", "ck_order_steps_state_known"),
        (
            "INSERT INTO reservations SELECT order_id, product_id, 0, 'held' FROM order_lines WHERE order_id = :id",
            "ck_reservations_quantity_positive",
        ),
        ("INSERT INTO reservations VALUES (:id, 'not a line of it', 1, 'held')", "fk_reservations_line"),
        (
            "INSERT INTO shipments VALUES (:id, :id, 'lost', NULL, NULL, NULL, 'unknown', now())",
            "ck_shipments_state_known",
        ),
    ],
)
async def test_nonsense_cannot_be_stored(wrong_code: WrongCode, order_id: str, statement: str, rule: str) -> None:
    """States that nobody knows, lines of nothing, reservations of what was not ordered."""
    await wrong_code.refused(rule, (statement, {"id": order_id}))


@pytest.mark.parametrize("status", list(PaymentStatus))
async def test_every_payment_status_of_the_domain_can_be_stored(
    wrong_code: WrongCode, shop: Shop, order_id: str, status: PaymentStatus
) -> None:
    """The database's list is the domain's."""
    change = "UPDATE orders SET payment_status = :status WHERE order_id = :id"
    await wrong_code.run((change, {"id": order_id, "status": status}))
    assert (await shop.order(order_id)).payment_status == status


async def test_an_event_number_is_given_once(wrong_code: WrongCode, shop: Shop, order_id: str) -> None:
    """Two events of one subject with the same sequence cannot be told apart by their readers."""
    again = """
        INSERT INTO outbox (event_id, type, source, subject, sequence, time, data)
        SELECT event_id || '-again', type, source, subject, sequence, time, data FROM outbox WHERE subject = :id
    """
    assert len(await shop.events(order_id)) == 1
    await wrong_code.refused("uq_outbox_source_subject_sequence", (again, {"id": order_id}))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("subtotal_minor = 2000, total_minor = 1999", "ck_orders_total_is_its_parts"),
        ("subtotal_minor = 2000, discount_minor = 2001, total_minor = -1", "ck_orders_total_not_negative"),
        ("subtotal_minor = 2000, added_tax_minor = -1, total_minor = 1999", "ck_orders_parts_not_negative"),
    ],
)
async def test_a_total_is_its_parts(order_id: str, wrong_code: WrongCode, change: str, rule: str) -> None:
    """An order from before the parts were kept has no subtotal, and only its total."""
    await wrong_code.refused(rule, (f"UPDATE orders SET {change} WHERE order_id = :id", {"id": order_id}))  # noqa: S608


async def test_a_line_gives_no_more_than_its_price(order_id: str, wrong_code: WrongCode) -> None:
    """Quantity x price is the most that can be taken off."""
    statement = "UPDATE order_lines SET discount_minor = quantity * unit_price_minor + 1 WHERE order_id = :id"
    await wrong_code.refused("ck_order_lines_discount_within_price", (statement, {"id": order_id}))


async def test_no_coupon_is_used_more_often_than_it_may_be(wrong_code: WrongCode) -> None:
    """Whatever counts."""
    promotion = """
        INSERT INTO promotions (promotion_id, name, kind, scope, value, buy, get, currency, min_subtotal_minor,
                                automatic, active, event_sequence, created_at)
        VALUES ('rule', 'n', 'percent', 'order', 1, 0, 0, 'USD', 0, false, true, 0, now())
    """
    coupon = """
        INSERT INTO coupons (code, promotion_id, usage_limit, used, active, created_at)
        VALUES ('RULE', 'rule', 1, 2, true, now())
    """
    await wrong_code.refused("ck_coupons_never_overused", (promotion, {}), (coupon, {}))
