"""What a run came to: one document, written as JSON and shown as tables."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from chaos.auditor import Violation, unsettled
from chaos.books import Books
from chaos.faults import Happened
from chaos.money_auditor import accounts
from chaos.recovery import p50_and_worst, recoveries

SHOWN = 20  # violations
Document = dict[str, Any]


def book_figures(books: Books, violations: Sequence[Violation]) -> Document:
    """What the books say at the end; amounts in minor units."""
    found = accounts(books).values()
    waiting = unsettled(books)
    return {
        "orders": len(books.orders),
        "outcomes": dict(sorted(Counter(books.statuses.values()).items())),
        "attended": {order_id: _ticket_of(books, order_id) for order_id in sorted(books.attended)},
        "unsettled": {order_id: books.statuses[order_id] for order_id in sorted(waiting)},
        "money": {
            "authorized": sum(account.authorized for account in found),
            "captured": sum(account.captured for account in found),
            "refunded": sum(account.refunded for account in found),
            "held": sum(account.authorized for account in found if account.held),
        },
        "violations": [violation._asdict() for violation in violations],
        "stories": {subject: story(books, subject) for subject in sorted({one.subject for one in violations})},
    }


def event_figures(books: Books) -> Document:
    """How many events there are, and what became of them."""
    return {
        "written": len(books.events),
        "atTheBroker": len(books.stream),
        "repeatsAtTheBroker": len(books.stream) - len({message["event_id"] for message in books.stream}),
        "replayed": sum(row["replay"] > 0 for row in books.events),
        "archived": len(books.archive),
        "messages": dict(sorted(Counter(row["state"] for row in books.notifications).items())),
        "hints": len(books.hints),
        "rowsHeard": sum(entry["kind"] == "heard" for entry in books.journal),
    }


def _ticket_of(books: Books, order_id: str) -> str:
    """Its own, or that of the cause which it waits for."""
    own = [f"{ticket['step']}: {ticket['kind']}" for ticket in books.tickets if ticket["order_id"] == order_id]
    waits_for = (order["waits_for"] for order in books.orders if order["order_id"] == order_id)
    return ", ".join(own) or f"waits for {next(waits_for)}"


def story(books: Books, order_id: str) -> Document:
    """All that the books say of one order: what a person needs who looks into a violation."""
    tables = ("orders", "order_lines", "reservations", "payments", "shipments", "timeline", "tickets", "money")
    told = {name: [row for row in getattr(books, name) if row["order_id"] == order_id] for name in tables}
    keys = {row["idempotency_key"] for row in told["orders"]}
    told["labels"] = [row for row in books.labels if row["reference"] == order_id]
    told["journal"] = [row for row in books.journal if row.get("orderId") == order_id or row.get("key") in keys]
    return told


def fault_figures(happened: Sequence[Happened], books: Books) -> Document:
    """By the fault's name; seconds. What was measured says `chaos/recovery.py`."""
    return {
        name: {
            "faults": recovery.faults,
            "partReady": _spread(recovery.ready),
            "ordersInHand": len(recovery.in_hand),
            "orderInHandGotOn": _spread(recovery.in_hand),
        }
        for name, recovery in recoveries(happened, books).items()
    }


def _spread(seconds: Sequence[float]) -> Document | None:
    spread = p50_and_worst(seconds)
    return {"p50": round(spread[0], 3), "worst": round(spread[1], 3)} if spread else None


def write(path: Path, document: Document) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, default=str) + "\n")


def show(out: Console, document: Document) -> None:
    out.print(_counts("Orders by outcome", document["outcomes"]))
    if "faults" in document:
        out.print(_fault_table(document["faults"]))
    if "events" in document:
        counts = {name: number for name, number in document["events"].items() if name != "messages"}
        out.print(_counts("Events", counts | document["events"]["messages"] | document["listeners"]))
    if "lostTails" in document:
        out.print(f"The broker lost {', '.join(map(str, document['lostTails'])) or 'no'} events, and got them again.")
    if "stripeFaults" in document:
        out.print(_counts("Stripe's bad days", document["stripeFaults"]))
    money = {kind: f"{amount / 100:,.2f}" for kind, amount in document["money"].items()}
    out.print(f"Stripe's ledger: {', '.join(f'{amount} {kind}' for kind, amount in money.items())}.")
    for title in ("attended", "unsettled"):
        for order_id, why in document[title].items():
            out.print(f"{title}: {order_id} {why}", markup=False)
    for violation in document["violations"][:SHOWN]:
        out.print(f"{violation['rule']}: {violation['subject']}: {violation['detail']}", markup=False, style="red")
    out.print(f"Violations: {len(document['violations'])}")


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in counts:
        table.add_column(name, justify="right")
    table.add_row(*map(str, counts.values()))
    return table


def _fault_table(faults: Document) -> Table:
    table = Table(title="Faults, and how fast the service went on", title_justify="left")
    table.add_column("fault")
    for column in ("times", "part ready, p50", "worst", "order in hand went on, p50", "worst"):
        table.add_column(column, justify="right")
    for name, figures in faults.items():
        cells = [*_cells(figures["partReady"]), *_cells(figures["orderInHandGotOn"])]
        table.add_row(name, str(figures["faults"]), *cells)
    return table


def _cells(spread: Document | None) -> tuple[str, str]:
    return (f"{spread['p50']:.2f} s", f"{spread['worst']:.2f} s") if spread else ("", "")
