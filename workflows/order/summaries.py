"""What each step does for its order: the words that people read next to it in the Temporal Web UI."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.commands import FulfillOrder


def summaries_of(order: FulfillOrder) -> dict[str, str]:
    """The words by the activity's name; no personal data, since summaries are part of the history."""
    total = order.total
    return {
        "reserve_inventory": "hold the stock",
        "release_inventory": "undo: give the stock back",
        "authorize_payment": f"hold {total} on the card",
        "check_payment": "has the customer confirmed the payment?",
        "keep_authorization": f"are the {total} still held? else hold them anew",
        "capture_payment": f"take the {total} that are held",
        "return_payment": f"undo: give back the {total}, held or taken",
        "ship_order": "buy the label",
        "cancel_shipment": "undo: void the label, unless the parcel was scanned",
        "confirm_void": "has the carrier taken the label back?",
        "check_shipment": "where is the parcel?",
        "record_shipped": "the parcel has left: take it out of the stock",
        "record_delivered": "the customer has the parcel",
        "may_ship_now": "look who wants it shipped at once",
        "record_cancel_request": "write down who wants to cancel, and why",
        "record_cancel_refusal": "write down that the cancel was refused",
        "ask_brake": "may the order end by a fault of ours?",
        "close_order": "write down how the order ended",
        "look_at_order": "how does the order stand?",
        "close_tickets": "what the former workflow called a person about is settled",
    }
