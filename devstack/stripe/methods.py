"""Payment methods: each use of a test name makes a `pm_…` id, which a customer may keep (docs.stripe.com/payments/
save-during-payment) and which without a customer pays once (docs.stripe.com/payments/payment-methods).
"""

from sqlite3 import Row

from devstack.simulators.durable_store import DurableStore
from devstack.stripe.cards import Card, card_that_declines, find_card
from devstack.stripe.errors import StripeFailure, invalid_request, missing
from devstack.stripe.objects import new_id

SCHEMA = """
CREATE TABLE IF NOT EXISTS payment_methods (
    id TEXT PRIMARY KEY, test_name TEXT NOT NULL, customer TEXT, used INTEGER NOT NULL DEFAULT 0,
    decline_code TEXT);
"""


class PaymentMethods:
    """What a card does is decided by the test name it was made of, until `set_outcome` says otherwise."""

    def __init__(self, store: DurableStore) -> None:
        self._store = store

    def check(self, name: str, customer: str | None) -> None:
        """Raises what Stripe answers when a payment of this customer may not use the method."""
        if _is_test_name(name):
            find_card(name)
            return
        row = self._row(name)
        if row["customer"] is not None and row["customer"] != customer:
            raise _of_another_customer(name, row["customer"], customer)
        if row["customer"] is None and row["used"]:
            raise _used_up()

    def adopt(self, name: str) -> str:
        """The id that an intent shows: a new one for a test name."""
        if not _is_test_name(name):
            return name
        made = new_id("pm")
        self._store.run("INSERT INTO payment_methods (id, test_name) VALUES (?, ?)", made, name)
        return made

    def card(self, method_id: str) -> Card:
        """How the bank answers now. A card that is saved was authenticated when it was."""
        row = self._row(method_id)
        if row["decline_code"] is not None:
            return card_that_declines(row["decline_code"])
        card = find_card(row["test_name"])
        return Card() if card.only_at_setup and row["customer"] is not None else card

    def paid(self, method_id: str, customer: str | None, *, save: bool) -> None:
        """After a confirmation that went well: used up, or kept by the customer."""
        owner = customer if save else None
        self._store.run(
            "UPDATE payment_methods SET used = 1, customer = coalesce(customer, ?) WHERE id = ?", owner, method_id
        )

    def set_outcome(self, method_id: str, decline_code: str | None) -> dict[str, str | None]:
        """From now on the method is declined with this code; None ends that."""
        row = self._row(method_id)
        if decline_code is not None:
            card_that_declines(decline_code)
        self._store.run("UPDATE payment_methods SET decline_code = ? WHERE id = ?", decline_code, method_id)
        return {"id": method_id, "customer": row["customer"], "decline_code": decline_code}

    def _row(self, method_id: str) -> Row:
        row = self._store.row("SELECT * FROM payment_methods WHERE id = ?", method_id)
        if row is None:
            raise missing("PaymentMethod", method_id, "payment_method")
        return row


def _is_test_name(name: str) -> bool:
    return name.startswith("pm_card_")


def _of_another_customer(name: str, owner: str, customer: str | None) -> StripeFailure:
    if customer is None:
        message = f"The PaymentMethod supplied ({name}) belongs to the Customer {owner}: give it as `customer`."
    else:
        message = (
            f"The customer does not have a payment method with the ID {name}. "
            "The payment method must be attached to the customer."
        )
    return invalid_request(message, param="payment_method")


def _used_up() -> StripeFailure:
    return invalid_request(
        "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment. "
        "It may not be used again: attach it to a Customer first.",
        param="payment_method",
    )
