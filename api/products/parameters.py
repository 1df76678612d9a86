"""What routes about products take from their paths."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path

from domain.identifiers import is_identifier
from services.catalogue.products import no_such_product


def known_shape(product_id: Annotated[str, Path(alias="productId")]) -> str:
    if not is_identifier(product_id):
        raise no_such_product()
    return product_id


ProductIdDep = Annotated[str, Depends(known_shape)]
