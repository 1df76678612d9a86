"""What an order's row holds of a person: where it goes, a phone number, and what the shop has attached to it.

Address and name are sealed with the customer's accounting key, phone and metadata with their contact key. Rows from
before the sealing have them in clear, until a job has sealed them (`services/privacy/`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.keys.vault import CannotOpen, Place
from domain.data_classes import Purpose
from domain.errors import OurFault, OurMistake
from services.orders.tables import Order
from services.sealing.sealing import Opener, Stored, cipher_of, read_opener, sealing_vault

ADDRESS, CONTACT = "orders.address_sealed", "orders.contact_sealed"


class PrivateFields(NamedTuple):
    """The columns of an order that hold them: in clear, or sealed."""

    shipping_address: Mapping[str, Any] | None
    order_metadata: Mapping[str, str]
    address_sealed: str | None = None
    contact_sealed: str | None = None


async def sealed(
    connection: AsyncConnection,
    order_id: str,
    customer_id: str,
    address: Mapping[str, Any] | None,
    metadata: Mapping[str, str],
    stored: Stored | None = None,
) -> PrivateFields:
    """The columns of a row that is to be written. `stored` are the customer's keys, where they were read before."""
    if sealing_vault(connection) is None or not (address or metadata):
        return PrivateFields(address, metadata)
    where, reach = None, {"metadata": dict(metadata)} if metadata else {}
    if address:
        if phone := address.get("phone"):
            reach["phone"] = phone
        cipher = await cipher_of(connection, customer_id, Purpose.ACCOUNTING, stored)
        assert cipher is not None  # there is a vault
        rest = to_json({name: value for name, value in address.items() if name != "phone"}).decode()
        where = cipher.seal(Place(ADDRESS, customer_id, order_id), rest)
    contact = None
    if reach:
        cipher = await cipher_of(connection, customer_id, Purpose.CONTACT, stored)
        assert cipher is not None
        contact = cipher.seal(Place(CONTACT, customer_id, order_id), to_json(reach).decode())
    return PrivateFields(None, {}, where, contact)


async def address_of(reads: AsyncEngine, row: Order) -> dict[str, Any] | None:
    """Where the order goes; None where nobody said. `reads` runs each statement by itself.

    Raises OurMistake where it was said and no key opens it any more, OurFault where a key is missing here.
    """
    if row.address_sealed is None:
        return row.shipping_address
    async with reads.connect() as connection:
        keys = await read_opener(connection, row.customer_id)
    try:
        address = await keys.open(Purpose.ACCOUNTING, ADDRESS, row.order_id, row.address_sealed)
        reach = await keys.open(Purpose.CONTACT, CONTACT, row.order_id, row.contact_sealed)
    except CannotOpen as error:
        mend = "give the worker the master keys (ORDERSAGA_CUSTOMER_KEYS_FILE), as `ordersaga doctor` says"
        raise OurFault(str(error), cause="customer keys", mend=mend) from None
    if address is None:
        raise OurMistake("the order's address was erased")
    phone = from_json(reach).get("phone") if reach else None
    found: dict[str, Any] = from_json(address)
    return found | ({"phone": phone} if phone else {})


async def metadata_of(keys: Opener, order_id: str, contact_sealed: str | None) -> dict[str, str]:
    """What the shop has attached; nothing once it was erased."""
    reach = await keys.open(Purpose.CONTACT, CONTACT, order_id, contact_sealed)
    found: dict[str, str] = from_json(reach).get("metadata", {}) if reach else {}
    return found
