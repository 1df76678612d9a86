"""A whole order file through the whole service, on a stack of its own: `python -m benchmarks.order_file FILE`.

Imports it as `ordersaga import-orders` does, and then holds the report against Stripe's and the carrier's ledgers and
our stock. Exits with 0 only if every order settled and every book agrees.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.order_books import faults
from commandline.failures import Failure
from commandline.imports.command import Options, render, replay
from commandline.imports.progress import ImportProgress
from commandline.imports.report import Report, write_report
from commandline.output import console, tell_failure
from commandline.places import Place
from devstack.stack.identities import Bearer
from devstack.stack.interruption import run_command
from devstack.stack.progress import Progress as Starting
from devstack.stack.stack import Stack

NEVER = 1e9  # seconds: nothing is scanned, so that what is reserved can be counted
SHOWN = 20  # faults
SAMPLE = (
    Path(__file__).resolve().parent.parent / "../shared/data/online_retail_sample.csv"
)  # not part of this project


async def import_file(options: Options) -> int:
    out = console()
    with tempfile.TemporaryDirectory(prefix="ordersaga-orders-", ignore_cleanup_errors=True) as folder:
        starting = Starting()
        async with Stack(Path(folder), carrier_clock=(NEVER, NEVER), environ=os.environ, observe=starting) as stack:
            began = time.monotonic()
            place, who = Place(stack.urls.api, "the stack"), Bearer(stack.folder)
            report = await replay(place, _in(options, Path(folder)), ImportProgress(), who)
            seconds = time.monotonic() - began
            write_report(options.report, report)
            urls = stack.urls
            wrong = await faults(
                report.document, stripe=urls.stripe, carrier=urls.carrier, database_url=urls.database_url
            )
            starting.stopping()
    for part in render(report, options.report):
        out.print(part)
    return _told(report, wrong, seconds)


def _in(options: Options, folder: Path) -> Options:
    """The journal goes with the stack: nothing of this run can be gone on with."""
    given = vars(options) | {"journal": folder / "journal.jsonl"}
    return Options(**given)


def _told(report: Report, wrong: list[str], seconds: float) -> int:
    out, placed = console(), report.summary["orders"]["placed"]
    out.print(f"\n{placed} orders in {seconds:.1f} s, {placed / seconds:.1f} a second with their products.")
    if report.balanced and not wrong:
        out.print("[bold green]All right[/bold green]: file, API, Stripe, carrier and stock agree, to the penny.")
        return 0
    unsettled = [f"invoice {invoice} did not settle" for invoice in report.unsettled]
    unbalanced = [] if report.balanced else ["the report's books do not balance"]
    out.print("[bold red]Wrong[/bold red]:")
    for fault in [*unbalanced, *unsettled, *wrong][:SHOWN]:
        out.print(f"  {fault}", markup=False)
    return 1


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.order_file", description=__doc__)
    parser.add_argument(
        "file", type=Path, metavar="FILE", nargs="?", default=SAMPLE, help="an order file (docs/cli.md)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N invoices")
    parser.add_argument("--concurrency", type=int, default=8, help="requests at a time (default: 8)")
    parser.add_argument("--report", type=Path, default=Path("build/order-file.json"), help="default: %(default)s")
    given = parser.parse_args(sys.argv[1:])
    given.report.parent.mkdir(parents=True, exist_ok=True)
    try:
        return await import_file(Options(given.file, given.limit, given.concurrency, given.report))
    except Failure as failure:
        tell_failure(failure, as_json=False)
        return failure.exit_code


if __name__ == "__main__":
    run_command(main())
