"""What routes about carts take from their paths and headers."""

from __future__ import annotations

import re
from typing import Annotated

import structlog
from fastapi import Depends, Header, Path

from api.carts.access import Buyer, Changer, carts_of
from api.carts.changes import Request
from api.deps import ServicesDep
from api.http.statuses import Malformed
from api.orders.parameters import KeyDep
from domain.errors import BadField
from domain.identifiers import is_identifier
from services.carts.book import no_such_cart
from services.customers.customers import no_such_customer

CART_ID = re.compile(r"[0-9a-f]{32}")
ETAG = re.compile(r'"([0-9]{1,18})"')


async def known_shape(cart_id: Annotated[str, Path(alias="cartId")]) -> str:
    """Answers 404 to what cannot be a cart's id without asking the database."""
    if not CART_ID.fullmatch(cart_id):
        raise no_such_cart()
    structlog.contextvars.bind_contextvars(cart_id=cart_id)
    return cart_id


async def known_customer(customer_id: Annotated[str, Path(alias="customerId")]) -> str:
    if not is_identifier(customer_id):
        raise no_such_customer()
    return customer_id


async def expected_version(
    if_match: Annotated[
        str | None,
        Header(alias="If-Match", description="the ETag of the cart that the change is meant for; optional"),
    ] = None,
) -> int | None:
    """The version that the client knows; None for any."""
    if if_match is None or if_match == "*":
        return None
    found = ETAG.fullmatch(if_match.strip())
    if found is None:
        message = 'the ETag of a cart is needed, like "3"'
        raise Malformed("bad_if_match", message, fields=[BadField("If-Match", message)])
    return int(found[1])


Version = Annotated[int | None, Depends(expected_version)]


async def change_request(services: ServicesDep, caller: Changer, key: KeyDep, version: Version) -> Request:
    return Request(services, carts_of(caller), key, version)


async def checkout_request(services: ServicesDep, caller: Buyer, key: KeyDep, version: Version) -> Request:
    return Request(services, carts_of(caller), key, version, caller.principal.name, caller.address)


CartIdDep = Annotated[str, Depends(known_shape)]
CustomerIdDep = Annotated[str, Depends(known_customer)]
ChangeDep = Annotated[Request, Depends(change_request)]
CheckoutDep = Annotated[Request, Depends(checkout_request)]
