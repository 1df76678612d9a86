"""Whose carts a caller may see and change: the one place that decides it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from services.carts.changes import Sees, sees_all


async def carts_of_caller() -> Sees:
    """Every cart, until requests carry an identity; ids are unguessable and the API binds loopback."""
    return sees_all


SeesDep = Annotated[Sees, Depends(carts_of_caller)]
