"""`ordersaga privacy`: find, export and erase a customer; erase again after a restore."""

from __future__ import annotations

import json
import sys
from urllib.parse import quote

from rich.text import Text

from commandline.api_client import Api
from commandline.output import Printer

PATH = "/api/privacy"


def find(api: Api, out: Printer, email: str) -> None:
    found = api.post(f"{PATH}/search", {"email": email}).document
    ids = found["customerIds"]
    out.show(found, lambda: [Text(one) for one in ids] or [Text("Nobody.")])


def export(api: Api, customer_id: str) -> None:
    """Writes one JSON document to standard output."""
    found = api.get(f"{PATH}/customers/{quote(customer_id, safe='')}")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def erase(api: Api, out: Printer, customer_id: str) -> None:
    done = api.post(f"{PATH}/customers/{quote(customer_id, safe='')}/erase", None).document
    lines = [Text(f"{customer_id} is erased."), Text(f"Invoices are kept until {done['accountingUntil']}.")]
    if not done["atStripe"]:
        lines.append(Text("Stripe could not be reached: the relay asks it again.", "yellow"))
    out.show(done, lambda: lines)


def replay(api: Api, out: Printer) -> None:
    done = api.post(f"{PATH}/replay", None).document
    ids = done["customerIds"]
    out.show(done, lambda: [Text(f"Erased again: {', '.join(ids)}." if ids else "Nobody was there again.")])
