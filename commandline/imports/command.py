"""`ordersaga import-orders`: reads an order file, replays it through the API, and reports on every line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import RenderableType
from rich.text import Text

from commandline.failures import Failure, Misused
from commandline.imports.journal import Journal
from commandline.imports.order_file import read_order_file
from commandline.imports.patient_api import PatientApi
from commandline.imports.plan import Plan, make_plan
from commandline.imports.progress import ImportProgress
from commandline.imports.report import BOOK, Report, write_report
from commandline.imports.run import Import, same_shop
from commandline.output import Printer, table
from commandline.places import Place


@dataclass(frozen=True)
class Options:
    file: Path
    limit: int | None = None
    concurrency: int = 8
    report: Path = Path("import-report.json")
    journal: Path | None = None
    patience: float = 120.0  # seconds without an answer, or without an order that settles
    encoding: str = "utf-8"
    ship_to: Mapping[str, str] | None = None  # the address of every order: the file has none


async def import_orders(place: Place, out: Printer, options: Options) -> int:
    """The exit code: 0 when every order is settled and the books balance, else 1. Raises Failure."""
    report = await replay(place, options, ImportProgress(lines=not out.as_json))
    _write(options.report, report)
    out.show(report.summary | {"report": str(options.report)}, lambda: render(report, options.report))
    if report.complete and not report.balanced:
        raise Failure("unbalanced", "the books do not balance", report=str(options.report), books=report.books)
    if not report.complete:
        raise Failure(
            "unsettled",
            f"{len(report.unsettled)} invoices are not done, e.g. {report.unsettled[0]}",
            mend="the same command goes on where this one stopped",
            report=str(options.report),
        )
    return 0


async def replay(place: Place, options: Options, progress: ImportProgress, who: httpx.Auth | None = None) -> Report:
    """Places and cancels what the file says, waits until it is settled, and reports. Raises Failure."""
    file = read_order_file(options.file, options.encoding)
    _check_writable(options.report)
    plan = make_plan(file, options.limit)
    progress.say(_intent(plan))
    path = options.journal or options.report.with_name(f"{options.report.stem}.journal-{file.identity[:12]}.jsonl")
    with Journal(path, file.identity) as journal:
        async with PatientApi(place, options.concurrency, options.patience, who) as api:
            if not await same_shop(api, journal):
                aside = journal.begin_anew()
                progress.say(f"The journal is of another shop than {place.url}: put aside as {aside}, begun anew.")
            run = Import(
                api,
                plan,
                journal,
                progress,
                concurrency=options.concurrency,
                patience=options.patience,
                ship_to=options.ship_to,
            )
            await run.place()
            unsettled = await run.settle()
        return Report(plan, journal.facts, options.limit, unsettled)


def _intent(plan: Plan) -> str:
    skipped = len(plan.skips)
    return (
        f"{plan.file.name}: {len(plan.lines)} lines; {len(plan.orders)} invoices to place, "
        f"{len(plan.cancels)} to cancel, {skipped} lines to skip"
    )


def _check_writable(path: Path) -> None:
    """Before anything is placed: an import without its report would be of little use."""
    if path.is_dir() or not path.parent.is_dir():
        raise Misused(f"--report: {path} is not a file in a folder that exists")


def _write(path: Path, report: Report) -> None:
    try:
        write_report(path, report)
    except OSError as error:
        raise Failure("no_report", f"the report {path} cannot be written: {error.strerror}") from None


WORDS = {
    "orderedLines": "lines ordered, by the file",
    "orderTotals": "their orders' totals, by the API",
    "canceledLines": "lines canceled, by the file",
    "canceledOrders": "canceled orders' totals, by the API",
    "returned": "given back to customers",
    "kept": "captured and kept",
}


def render(report: Report, path: Path) -> Iterator[RenderableType]:
    """The report's summary for people."""
    summary = report.summary
    outcomes = table(
        "Outcome", "Lines", "Invoices", "Pieces", "Amount", right=("Lines", "Invoices", "Pieces", "Amount")
    )
    for name, one in summary["outcomes"].items():
        amount = f"{one['amount']} {one['currency']}"
        outcomes.add_row(name, str(one["lines"]), str(one["invoices"]), str(one["pieces"]), amount)
    yield outcomes
    if summary["skipped"]:
        skipped = table("Skipped because", "Lines", "Amount", "For example", right=("Lines", "Amount"))
        for one in summary["skipped"]:
            skipped.add_row(one["code"], str(one["lines"]), one["amount"], Text(one["example"]))
        yield skipped
    for book in summary["books"]:
        yield _book(book)
    yield Text(f"Every line: {path}", style="dim")


def _book(book: dict[str, Any]) -> RenderableType:
    rows = table(f"Books in {book['currency']}", "Amount", right=("Amount",))
    for name in BOOK:
        rows.add_row(WORDS[name], book[name])
    rows.add_row("", Text("balanced", "green") if book["balanced"] else Text("not balanced", "bold red"))
    return rows
