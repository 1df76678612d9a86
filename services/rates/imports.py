"""Rates that are brought in together: all of them, or none. The same again changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.errors import bad_fields
from services.rates.tables import ShippingRateRow, TaxRateRow


@dataclass(frozen=True)
class NewTaxRate:
    """A rate in parts per million from a day on; `region` is '' for the whole country."""

    country: str
    region: str
    category: str
    valid_from: date
    rate_ppm: int
    inclusive: bool


@dataclass(frozen=True)
class NewShippingRate:
    """A fee in minor units from a day on; without a fee the option is no longer offered."""

    option: str
    country: str
    currency: str
    valid_from: date
    fee_minor: int | None
    free_from_minor: int | None
    service: str | None
    days: int | None


async def bring_in(session: AsyncSession, taxes: Sequence[NewTaxRate], shipping: Sequence[NewShippingRate]) -> None:
    """Adds the rates; one that is there for the same thing and day is replaced.

    Raises InvalidInput that names a rate which comes twice.
    """
    await _write(session, TaxRateRow, "tax_rates", [rate.__dict__ for rate in taxes])
    await _write(session, ShippingRateRow, "shipping_rates", [rate.__dict__ for rate in shipping])


async def tax_rates(session: AsyncSession) -> Sequence[TaxRateRow]:
    """All of them, also those of the past and of the future."""
    key = (col(TaxRateRow.country), col(TaxRateRow.region), col(TaxRateRow.category), col(TaxRateRow.valid_from))
    return (await session.exec(select(TaxRateRow).order_by(*key))).all()


async def shipping_rates(session: AsyncSession) -> Sequence[ShippingRateRow]:
    """All of them, also those of the past and of the future."""
    row = ShippingRateRow
    key = (col(row.country), col(row.currency), col(row.option), col(row.valid_from))
    return (await session.exec(select(row).order_by(*key))).all()


async def _write(session: AsyncSession, model: type[SQLModel], field: str, rates: list[dict[str, Any]]) -> None:
    if not rates:
        return
    table = model.__table__  # type: ignore[attr-defined]
    key = [column.name for column in table.primary_key]
    seen: dict[tuple[Any, ...], int] = {}
    for index, rate in enumerate(rates):
        first = seen.setdefault(tuple(rate[name] for name in key), index)
        if first != index:
            raise bad_fields({f"{field}[{index}]": f"the same place and day as {field}[{first}]"})
    statement = insert(table)
    values = {name: statement.excluded[name] for name in rates[0] if name not in key}
    connection = await session.connection()
    await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=values), rates)
