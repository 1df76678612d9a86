"""Brings the products of an import into the catalogue, with enough of each for all that the file orders of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from commandline.failures import Failure
from commandline.imports.patient_api import PatientApi, problem_words
from commandline.imports.plan import PlannedOrder
from domain.money import Money

NAME_LENGTH = 200
TRIES = 20


class Ware(NamedTuple):
    name: str
    price: Money


def products_of(orders: Iterable[PlannedOrder]) -> Counter[str]:
    """Pieces by product."""
    pieces: Counter[str] = Counter()
    for order in orders:
        for line in order.lines:
            pieces[line.product_id] += line.pieces
    return pieces


def names_of(orders: Iterable[PlannedOrder]) -> dict[str, Ware]:
    """Each product's first description that says something, and its price."""
    found: dict[str, Ware] = {}
    for order in orders:
        for line in order.lines:
            known = found.get(line.product_id)
            if known is None or not known.name:
                found[line.product_id] = Ware(" ".join(line.row.description.split())[:NAME_LENGTH], line.price)
    return found


async def bring_in(api: PatientApi, product_id: str, ware: Ware, wanted: int, needed: int) -> None:
    """Adds the product with `wanted` pieces; one that is there already gets as many that `needed` are free.

    Raises Failure where the shop sells it at another price, or does not take it.
    """
    if not await _add(api, product_id, ware, wanted):
        await _fill_up(api, product_id, needed)


async def _add(api: PatientApi, product_id: str, ware: Ware, wanted: int) -> bool:
    """Whether it is there now with its stock; False for one that existed before, maybe by another description."""
    body = {
        "productId": product_id,
        "name": ware.name or product_id,
        "price": ware.price.decimal,
        "currency": ware.price.currency,
        "onHand": wanted,
    }
    answer = await api.post("/api/products", body)
    if answer.status == 201:
        return True
    if answer.status == 200 or answer.document.get("code") == "product_exists":
        known = (await api.get(f"/api/products/{quote(product_id, safe='')}")).document
        if (known.get("price"), known.get("currency")) == (ware.price.decimal, ware.price.currency):
            return False
        raise Failure("product_taken", f"product {product_id} exists at another price than {ware.price}")
    raise Failure("product_refused", f"product {product_id}: {problem_words(answer)}")


async def _fill_up(api: PatientApi, product_id: str, needed: int) -> None:
    """Raises the stock until `needed` pieces are free. Looks before each try: a lost answer may have been a yes."""
    path = f"/api/inventory/{quote(product_id, safe='')}"
    for _ in range(TRIES):
        missing = needed - int((await api.get(path)).document["available"])
        if missing <= 0:
            return
        answer = await api.post_once(f"{path}/update", {"quantityChange": missing})
        if answer is not None and answer.status != 200:
            raise Failure("stock_refused", f"stock of {product_id}: {problem_words(answer)}")
    raise Failure("stock_refused", f"stock of {product_id} does not grow")
