"""Small order files, and imports of them in the test's own process."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from benchmarks.order_books import faults
from commandline.imports.command import Options, replay
from commandline.imports.progress import ImportProgress
from commandline.imports.report import Report, write_report
from commandline.places import Place
from devstack.stack.stack import Stack
from services.orders.private_fields import metadata_of
from services.orders.tables import Order
from services.sealing.sealing import read_opener
from tests.support.identities import Anybody
from tests.support.orders import Shop

HEADING = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"

Line = tuple[str, str, int, str, str]  # invoice, end of the stock code, quantity, price, customer

SMALL_SHOP: tuple[Line, ...] = (
    ("1", "LAMP", 6, "2.55", "7.0"),
    ("1", "LAMP", 2, "2.55", "7.0"),
    ("1", "LAMP", 1, "2.10", "7.0"),
    ("1", "POST", 1, "18.00", "7.0"),
    ("2", "CHAIR", 3, "4.25", "8.0"),
    ("3", "CHAIR", 1, "4.25", ""),
    ("C4", "CHAIR", -3, "4.25", "8.0"),
    ("C5", "LAMP", -1, "2.55", "7.0"),
    ("6", "LAMP", 10, "0.00", "7.0"),
)


class Files:
    """Writes order files whose stock codes are the test's own, so that no test meets another's stock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.beginning = secrets.token_hex(4).upper()

    def write(self, *lines: Line, name: str = "orders.csv") -> Path:
        rows = [
            f"{invoice},{code if code == 'POST' else self.beginning + code},"
            f"A {code.title()},{quantity},2010-12-{day:02} 08:26:00,{price},{customer},United Kingdom"
            for day, (invoice, code, quantity, price, customer) in enumerate(lines, start=1)
        ]
        path = self.folder / name
        path.write_text("\n".join([HEADING, *rows]) + "\n")
        return path

    def product(self, code: str, price: str) -> str:
        return f"{self.beginning}{code}-{price}"


async def run(url: str, file: Path, limit: int | None = None, **more: Any) -> Report:
    """An import as the command does it, in this process; the report is written beside the file."""
    options = Options(file, limit, report=file.with_suffix(".report.json"), **more)
    report = await replay(Place(url, "the test"), options, ImportProgress(), Anybody())
    write_report(options.report, report)
    return report


async def books_of(stack: Stack, report: Report) -> list[str]:
    urls = stack.urls
    return await faults(report.document, stripe=urls.stripe, carrier=urls.carrier, database_url=urls.database_url)


async def imported(shop: Shop, file: Path) -> list[Order]:
    """Every order that there is for the invoices of the file, by what its metadata says."""
    keys = {order["orderId"] for order in json.loads(file.with_suffix(".report.json").read_text())["placed"]}
    async with shop.sessions() as session:
        some = (await session.exec(select(Order).where(col(Order.order_id).in_(keys)))).all()
        wanted = {await _import_key(session, order) for order in some}
        theirs = col(Order.customer_id).in_({order.customer_id for order in some})
        orders = (await session.exec(select(Order).where(theirs))).all()
        return [order for order in orders if await _import_key(session, order) in wanted]


async def _import_key(session: AsyncSession, order: Order) -> str | None:
    keys = await read_opener(await session.connection(), order.customer_id)
    return (await metadata_of(keys, order.order_id, order.contact_sealed)).get("importKey")
