"""`ordersaga rates`: bring in, show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from commandline.api_client import Api
from commandline.failures import Failure
from commandline.output import Printer, table
from commandline.rates_file import RatesFile, read_rates


def import_rates(api: Api, out: Printer, path: Path) -> None:
    """All of the file's rates, or none. Raises BadRates, and Failure where the API refuses one."""
    rates = read_rates(path)
    try:
        answer = api.post("/api/rates", rates.body)
    except Failure as failure:
        failure.errors = [{**error, "field": _place(rates, error["field"])} for error in failure.errors]
        raise
    out.show(answer.document, lambda: [Text(f"{len(rates.rates)} {rates.kind.replace('_', ' ')} brought in.")])


def list_rates(api: Api, out: Printer) -> None:
    rates = api.get("/api/rates")
    out.show(rates, lambda: _shown(rates))


def _place(rates: RatesFile, field: str) -> str:
    """The line and column of a field of the request like `taxRates[3].rate`."""
    found = re.fullmatch(r"\w+\[(\d+)\](?:\.(\w+))?", field)
    if found is None or int(found[1]) >= len(rates.lines):
        return field
    column = re.sub(r"([A-Z])", lambda capital: f"_{capital[1].lower()}", found[2] or "")
    return f"line {rates.lines[int(found[1])]}" + (f", column {column}" if column else "")


def _shown(rates: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[RenderableType]:
    if not (rates["taxRates"] or rates["shippingRates"]):
        yield Text("No rates: nothing is taxed, and shipping costs nothing.")
    if rates["taxRates"]:
        taxes = table("Country", "Region", "Category", "Rate %", "Prices", "From", right=("Rate %",))
        for rate in rates["taxRates"]:
            prices = "contain it" if rate["inclusive"] else "without it"
            taxes.add_row(rate["country"], rate["region"], rate["category"], rate["rate"], prices, rate["validFrom"])
        yield taxes
    if rates["shippingRates"]:
        fees = table("Option", "Country", "Fee", "Free from", "Service", "Days", "From", right=("Fee", "Free from"))
        for rate in rates["shippingRates"]:
            fee = f"{rate['fee']} {rate['currency']}" if rate["fee"] is not None else "not offered"
            more = [str(rate.get(name, "")) for name in ("freeFrom", "service", "days")]
            fees.add_row(rate["option"], rate["country"], fee, *more, rate["validFrom"])
        yield fees
