"""What operations set: promotions and their codes, each change with who made it. Nothing is ever deleted.

A promotion that is over is switched off (`active`); orders that had it keep their prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.errors import BadField, Conflict, NotFound, bad_fields
from domain.money import Money
from domain.pricing.promotions import PromotionKind, Scope
from domain.pricing.rounding import from_percent
from services.promotions.tables import CouponRow, PromotionChange, PromotionRow


@dataclass(frozen=True)
class PromotionData:
    """A promotion as operations say it: `value` in percent, or in major units of `currency`, as `min_subtotal`."""

    promotion_id: str
    name: str
    kind: PromotionKind
    currency: str
    scope: Scope = Scope.ORDER
    value: Decimal | None = None
    buy: int | None = None
    get: int | None = None
    product_ids: Sequence[str] = ()
    min_subtotal: Decimal | None = None
    starts: datetime | None = None
    ends: datetime | None = None
    automatic: bool = False
    active: bool = True


@dataclass(frozen=True)
class CouponData:
    """A code, in capitals, for a promotion; limits are None where there is none."""

    code: str
    promotion_id: str
    usage_limit: int | None = None
    per_customer: int | None = None
    active: bool = True


async def add_promotion(session: AsyncSession, new: PromotionData, by: str) -> tuple[PromotionRow, bool]:
    """The promotion, and whether it is new; the same again changes nothing.

    Raises InvalidInput that names what does not fit its kind, Conflict where one of this id exists with other data.
    """
    row = PromotionRow(promotion_id=new.promotion_id, **_columns(new))
    known = await session.get(PromotionRow, new.promotion_id)
    if known is not None:
        if any(getattr(known, name) != value for name, value in _columns(new).items()):
            raise _taken("promotion_exists", "promotion_id", "a promotion of this id exists with other data")
        return known, False
    session.add(row)
    await _note(session, row.promotion_id, None, _set(new), by)
    return row, True


async def change_promotion(
    session: AsyncSession, promotion_id: str, changes: Mapping[str, Any], by: str
) -> PromotionRow:
    """Sets fields of `PromotionData` by their names. Raises NotFound, and InvalidInput as `add_promotion` does."""
    row = await session.get(PromotionRow, promotion_id, with_for_update=True)
    if row is None:
        raise no_such_promotion()
    columns = _columns(PromotionData(**{**data_of(row).__dict__, **changes}))
    for name, value in columns.items():
        setattr(row, name, value)
    session.add(row)
    await _note(session, promotion_id, None, changes, by)
    return row


async def add_coupon(session: AsyncSession, new: CouponData, by: str) -> tuple[CouponRow, bool]:
    """The coupon, and whether it is new; the same again changes nothing.

    Raises InvalidInput for a promotion that there is not, Conflict where the code exists with other data.
    """
    known = await session.get(CouponRow, new.code)
    if known is not None:
        if any(getattr(known, name) != value for name, value in new.__dict__.items()):
            raise _taken("coupon_exists", "code", "this code exists with other data")
        return known, False
    if await session.get(PromotionRow, new.promotion_id) is None:
        raise bad_fields({"promotion_id": "there is no promotion of this id"})
    row = CouponRow(**new.__dict__)
    session.add(row)
    await _note(session, new.promotion_id, new.code, _set(new), by)
    return row, True


async def change_coupon(session: AsyncSession, code: str, changes: Mapping[str, Any], by: str) -> CouponRow:
    """Sets its limits, or switches it on or off. Raises NotFound, Conflict for a limit below what is used up."""
    row = await session.get(CouponRow, code, with_for_update=True)
    if row is None:
        raise no_such_coupon()
    limit = changes.get("usage_limit", row.usage_limit)
    if limit is not None and limit < row.used:
        about = [BadField("usage_limit", f"{row.used} at least")]
        raise Conflict("below_used", f"orders have used it {row.used} times", fields=about, used=row.used)
    for name, value in changes.items():
        setattr(row, name, value)
    session.add(row)
    await _note(session, row.promotion_id, code, changes, by)
    return row


async def list_promotions(session: AsyncSession, most: int, after: str | None = None) -> Sequence[PromotionRow]:
    """At most `most` by their ids, those that follow the id `after`."""
    query = select(PromotionRow).order_by(PromotionRow.promotion_id).limit(most)
    return (await session.exec(query.where(PromotionRow.promotion_id > after) if after else query)).all()


async def list_coupons(session: AsyncSession, most: int, after: str | None = None) -> Sequence[CouponRow]:
    """At most `most` by their codes, those that follow the code `after`."""
    query = select(CouponRow).order_by(CouponRow.code).limit(most)
    return (await session.exec(query.where(CouponRow.code > after) if after else query)).all()


async def read_promotion(session: AsyncSession, promotion_id: str) -> PromotionRow:
    """Raises NotFound."""
    row = await session.get(PromotionRow, promotion_id)
    if row is None:
        raise no_such_promotion()
    return row


async def read_coupon(session: AsyncSession, code: str) -> CouponRow:
    """Raises NotFound."""
    row = await session.get(CouponRow, code)
    if row is None:
        raise no_such_coupon()
    return row


async def history(session: AsyncSession, promotion_id: str, most: int = 100) -> Sequence[PromotionChange]:
    """The latest changes of a promotion and of its codes, newest first."""
    query = select(PromotionChange).where(PromotionChange.promotion_id == promotion_id)
    return (await session.exec(query.order_by(col(PromotionChange.id).desc()).limit(most))).all()


def data_of(row: PromotionRow) -> PromotionData:
    """A promotion as operations say it, from its row."""
    kind = PromotionKind(row.kind)
    value = None
    if kind is PromotionKind.PERCENT:
        value = Decimal(row.value).scaleb(-4)
    elif kind is PromotionKind.FIXED:
        value = Decimal(Money(minor=row.value, currency=row.currency).decimal)
    least = Money(minor=row.min_subtotal_minor, currency=row.currency)
    return PromotionData(
        promotion_id=row.promotion_id,
        name=row.name,
        kind=kind,
        currency=row.currency,
        scope=Scope(row.scope),
        value=value,
        buy=row.buy or None,
        get=row.get or None,
        product_ids=row.product_ids or (),
        min_subtotal=Decimal(least.decimal) if least.minor else None,
        starts=row.starts,
        ends=row.ends,
        automatic=row.automatic,
        active=row.active,
    )


def no_such_promotion() -> NotFound:
    """The refusal of a promotion's id that is not known."""
    return NotFound("no_such_promotion", "there is no promotion of this id")


def no_such_coupon() -> NotFound:
    """The refusal of a code that is not known."""
    return NotFound("no_such_coupon", "there is no coupon of this code")


def _columns(new: PromotionData) -> dict[str, Any]:
    """The row's columns. Raises InvalidInput that names each field that does not fit."""
    wrong = _misfits(new)
    value, least = 0, 0
    try:
        value = _value(new)
    except ValueError as error:
        wrong["value"] = str(error)
    try:
        least = Money.parse(new.min_subtotal or 0, new.currency).minor
    except ValueError as error:
        wrong["min_subtotal"] = str(error)
    if wrong:
        raise bad_fields(wrong)
    return {
        "name": new.name,
        "kind": new.kind.value,
        "scope": new.scope.value,
        "value": value,
        "buy": new.buy or 0,
        "get": new.get or 0,
        "currency": new.currency,
        "product_ids": sorted(set(new.product_ids)) or None,
        "min_subtotal_minor": least,
        "starts": new.starts,
        "ends": new.ends,
        "automatic": new.automatic,
        "active": new.active,
    }


def _misfits(new: PromotionData) -> dict[str, str]:
    """What is there and must not be, or is missing, by field."""
    wrong: dict[str, str] = {}
    if new.kind is PromotionKind.BUY_X_GET_Y:
        wrong |= {name: "needed: how many pieces" for name in ("buy", "get") if not getattr(new, name)}
    else:
        wrong |= {name: "only of buy_x_get_y" for name in ("buy", "get") if getattr(new, name)}
    if (new.scope is Scope.PRODUCTS) != bool(new.product_ids):
        wrong["product_ids"] = "needed for the scope products, and only there"
    if new.starts and new.ends and new.starts >= new.ends:
        wrong["ends"] = "it has to end after it starts"
    return wrong


def _value(new: PromotionData) -> int:
    """Parts per million, or minor units. Raises ValueError."""
    if new.kind not in (PromotionKind.PERCENT, PromotionKind.FIXED):
        if new.value is not None:
            raise ValueError("only of percent and fixed")
        return 0
    if not new.value:
        raise ValueError("needed, and more than 0")
    if new.kind is PromotionKind.PERCENT:
        return from_percent(new.value)
    return Money.parse(new.value, new.currency).minor


def _taken(code: str, field: str, detail: str) -> Conflict:
    return Conflict(code, detail, fields=[BadField(field, "taken")])


def _set(data: PromotionData | CouponData) -> dict[str, Any]:
    return {name: value for name, value in data.__dict__.items() if value is not None}


async def _note(
    session: AsyncSession, promotion_id: str, code: str | None, change: Mapping[str, Any], by: str
) -> None:
    told = to_jsonable_python(dict(change))
    session.add(PromotionChange(promotion_id=promotion_id, code=code, by=by, change=told))
    try:
        await session.flush()
    except IntegrityError:  # a twin of this request was faster
        raise _taken("exists", "code" if code else "promotion_id", "it was added a moment ago; look at it") from None
