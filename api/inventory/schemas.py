"""What clients send and get about stock."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from api.http.fields import Body, Wire
from domain.limits import MAX_ON_HAND

OnHand = Annotated[int, Field(strict=True, ge=0, le=MAX_ON_HAND)]


class StockChange(Body):
    """Exactly one of the two."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quantityChange": -5}, {"onHand": 150}]})

    quantity_change: Annotated[int, Field(strict=True, ge=-MAX_ON_HAND, le=MAX_ON_HAND)] | None = None
    on_hand: OnHand | None = None


class StockView(Wire):
    product_id: str
    on_hand: int
    reserved: int
    available: int
