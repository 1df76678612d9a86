"""Whose carts a caller may see and change: the one place that decides it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from api.http.authentication import Caller, may
from services.carts.changes import Sees

Changer = Annotated[Caller, Depends(may("carts:change"))]
Buyer = Annotated[Caller, Depends(may("orders:place"))]


def carts_of(caller: Caller) -> Sees:
    """The carts that the caller's permission is about; a guest's cart is whoever's knows its id, as 128 bits are."""

    def sees(customer_id: str | None) -> bool:
        return customer_id is None or caller.visible.shows(customer_id)

    return sees


async def readable(caller: Annotated[Caller, Depends(may("carts:read"))]) -> Sees:
    """The carts that a caller may read."""
    return carts_of(caller)


async def openable(caller: Changer) -> Sees:
    """Those that a caller may open."""
    return carts_of(caller)


SeesDep = Annotated[Sees, Depends(readable)]
OpensDep = Annotated[Sees, Depends(openable)]
