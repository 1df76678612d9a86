"""The auditor's rules of money: Stripe's ledger, read entry by entry, against the orders and our payments."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from chaos import auditor, total_auditor
from chaos.auditor import PAID, UNDONE, Finding, Rule
from chaos.books import Books, Row

BEFORE_PAYMENT = frozenset(["PLACED", "RESERVED"])


@dataclass
class Account:
    """One PaymentIntent by the ledger."""

    order_id: str | None = None
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    withdrawn: int = 0  # by a dispute
    held: bool = False

    @property
    def kept(self) -> int:
        return self.captured - self.refunded - self.withdrawn

    @property
    def live(self) -> bool:
        """Money is held or was taken."""
        return self.held or self.kept > 0

    def read(self, entry: Row) -> Iterator[str]:
        """Books one entry; tells what must not be."""
        kind, amount = entry["kind"], entry["amount"]
        self.order_id = entry["order_id"]
        if kind == "authorize":
            self.authorized, self.held = self.authorized + amount, True
        elif kind in ("void", "expire"):
            self.held = False
        elif kind == "capture":
            if not self.held:
                yield "captured what was not held"
            self.captured, self.held = self.captured + amount, False
        elif kind in ("refund", "refund_failed"):
            self.refunded += amount if kind == "refund" else -amount
        elif kind in ("dispute_withdrawn", "dispute_reinstated"):
            self.withdrawn += amount if kind == "dispute_withdrawn" else -amount
        if self.captured > self.authorized:
            yield f"captured {self.captured} of {self.authorized} authorized"
        if self.kept < 0:
            yield f"gave back {self.refunded + self.withdrawn} of {self.captured} captured"


def accounts(books: Books) -> dict[str, Account]:
    """By PaymentIntent."""
    found: dict[str, Account] = defaultdict(Account)
    for entry in books.money:
        for _ in found[entry["payment_intent"]].read(entry):
            pass
    return dict(found)


def ledger_is_possible(books: Books) -> Iterator[Finding]:
    """Captures within authorizations, refunds within captures."""
    found: dict[str, Account] = defaultdict(Account)
    for entry in books.money:
        for wrong in found[entry["payment_intent"]].read(entry):
            yield str(entry["order_id"]), wrong


def no_second_live_authorization(books: Books) -> Iterator[Finding]:
    """Of one order, at any time: read in the order in which it happened."""
    found: dict[str, dict[str, Account]] = defaultdict(lambda: defaultdict(Account))
    for entry in books.money:
        own = found[entry["order_id"]]
        if entry["kind"] == "authorize" and any(account.live for account in own.values()):
            yield str(entry["order_id"]), f"a second live authorization: {entry['payment_intent']}"
        for _ in own[entry["payment_intent"]].read(entry):
            pass


def money_is_of_orders(books: Books) -> Iterator[Finding]:
    for payment, account in accounts(books).items():
        if account.order_id not in books.statuses:
            yield payment, f"is of no order: {account.order_id}"


def kept_is_the_value_of_what_goes_out(books: Books) -> Iterator[Finding]:
    """The total without dropped lines, less refunds; nothing for what was undone or is not yet paid.

    What a hand at Stripe's dashboard made differ has a ticket.
    """
    kept: Counter[str | None] = Counter()
    for account in accounts(books).values():
        kept[account.order_id] += account.kept
    due, back = total_auditor.value(books), _refunded(books)
    for order_id, status in books.statuses.items():
        wanted = due[order_id] - back[order_id] if status in PAID else 0
        told = order_id in books.called_for and (status not in PAID | UNDONE or order_id in books.touched)
        if kept[order_id] != wanted and not told:
            yield order_id, f"is {status}: {kept[order_id]} kept, {wanted} due"


def no_live_authorization_of_what_is_over(books: Books) -> Iterator[Finding]:
    for payment, account in accounts(books).items():
        status = books.statuses.get(account.order_id or "")
        if account.held and status in UNDONE | PAID | BEFORE_PAYMENT:
            yield str(account.order_id), f"is {status}, and {payment} still holds {account.authorized}"


def payments_equal_the_ledger(books: Books) -> Iterator[Finding]:
    """To the penny, row by row, in both directions."""
    ledger = accounts(books)
    for row in books.payments:
        account = ledger.pop(row["payment_intent_id"], Account(row["order_id"]))
        ours = (row["order_id"], row["captured_minor"], row["refunded_minor"])
        theirs = (account.order_id, account.captured, account.refunded)
        if ours != theirs:
            yield row["order_id"], f"our payment is {ours}, Stripe's {theirs}"
        if (row["state"] == "authorized") != account.held and row["order_id"] not in auditor.unsettled(books):
            yield row["order_id"], f"our payment is {row['state']}, Stripe's {'' if account.held else 'not '}held"
    for payment, account in ledger.items():
        yield str(account.order_id), f"{payment} is in Stripe's ledger and not in ours"


def _refunded(books: Books) -> Counter[str]:
    """What operators gave back of an order that stays."""
    back: Counter[str] = Counter()
    for row in books.refunds:
        back[row["order_id"]] += row["amount_minor"] if row["state"] == "succeeded" else 0
    return back


RULES: tuple[Rule, ...] = (
    auditor.no_order_is_lost,
    auditor.no_order_is_doubled,
    auditor.no_answer_is_broken,
    auditor.no_decision_on_a_cancel_is_broken,
    auditor.nothing_is_oversold,
    auditor.stock_is_what_was_there_less_what_left,
    auditor.what_is_reserved_is_held_by_orders,
    auditor.reservations_follow_their_orders,
    auditor.labels_follow_their_orders,
    auditor.parcels_are_where_the_carrier_says,
    auditor.timelines_have_no_gaps,
    auditor.outbox_has_no_gaps,
    auditor.every_order_has_settled,
    auditor.every_webhook_is_followed_up,
    auditor.customers_are_waited_for_as_long_as_agreed,
    auditor.who_never_comes_back_gets_nothing,
    auditor.nobody_is_called_for_nothing,
    ledger_is_possible,
    no_second_live_authorization,
    money_is_of_orders,
    kept_is_the_value_of_what_goes_out,
    total_auditor.totals_are_sums_of_their_parts,
    total_auditor.adjustments_add_up,
    total_auditor.coupons_count_their_orders,
    total_auditor.no_customer_uses_a_code_too_often,
    total_auditor.redemptions_follow_their_orders,
    no_live_authorization_of_what_is_over,
    payments_equal_the_ledger,
)
"""Everything that must hold at the end of a run, whatever failed on the way."""
