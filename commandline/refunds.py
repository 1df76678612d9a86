"""`ordersaga refund`: a part of an order's money back to its customer."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.failures import Failure, Misused
from commandline.options import named
from commandline.orders import order_path
from commandline.output import Printer, facts


def wanted(amount: str | None, items: Sequence[str], reason: str, by: str | None) -> dict[str, Any]:
    """What is asked of the API. Raises Misused for items that are not PRODUCT=PIECES, or for both or none."""
    if (amount is None) == (not items):
        raise Misused("exactly one of --amount and --item is needed")
    if amount is not None:
        return {"amount": amount, "reason": reason} | named(by)
    return {"items": [_item(one) for one in items], "reason": reason} | named(by)


def _item(given: str) -> dict[str, Any]:
    product_id, _, pieces = given.rpartition("=")
    if not (product_id and pieces.isascii() and pieces.isdigit()):
        raise Misused(f"--item: PRODUCT=PIECES is needed, like 456=1, not {given!r}")
    return {"productId": product_id, "quantity": int(pieces)}


def give_refund(api: Api, out: Printer, order_id: str, wanted: Mapping[str, Any], key: str | None) -> None:
    """Asks for the refund. Without a key one is made up and told before, so that the same can be asked again."""
    chosen = key or f"cli-{secrets.token_hex(12)}"
    out.say(Text(f"Refund {chosen} (the same command with --key {chosen} asks for the same one)", style="dim"))
    try:
        answer = api.post(f"{order_path(order_id)}/refunds", wanted, {"Idempotency-Key": chosen})
    except Failure as failure:
        if failure.code == "api_unreachable" or failure.members.get("status", 0) >= 500:
            mend = f"{failure.mend}; it may have been given: the same command with --key {chosen} tells"
            failure.mend = mend.removeprefix("; ")
        raise
    out.show(answer.document, lambda: _given(answer.document))


def _given(refund: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield facts(
        {
            "Order": refund["orderId"],
            "Refund": refund["key"],
            "Amount": f"{refund['amount']} {refund['currency']}",
            "Status": refund["status"],
            "Reason": refund["reason"],
            "By": refund["by"],
        }
    )
    if refund["status"] != "succeeded":
        yield Text("Under way: it is carried on; the same command with --key tells how it stands.", style="yellow")
