"""A shipping address as people type it: FIELD=VALUE, once for each field."""

from __future__ import annotations

from collections.abc import Sequence

from commandline.failures import Misused

FIELDS = ("name", "street1", "street2", "city", "state", "zip", "country", "phone")
NEEDED = ("street1", "city", "zip", "country")


def read_address(given: Sequence[str] | None) -> dict[str, str] | None:
    """`["street1=1 Main Street", "country=US", ...]` as an order has it; None for no address. Raises Misused."""
    if not given:
        return None
    address: dict[str, str] = {}
    for part in given:
        name, _, value = (one.strip() for one in part.partition("="))
        if name not in FIELDS or not value:
            raise Misused(f"--ship-to: {part!r} is not FIELD=VALUE; the fields are {', '.join(FIELDS)}")
        if name in address:
            raise Misused(f"--ship-to: {name} is given twice")
        address[name] = value
    if missing := [name for name in NEEDED if name not in address]:
        raise Misused(f"--ship-to: an address needs {', '.join(missing)}, too")
    return address
