"""The checks of `ordersaga doctor` for personal data: whether it is sealed, and whether the erased stay erased."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.settings import Settings
from adapters.temporal.key_ring import KeysUnusable, read_keys
from adapters.tombstones.folder import Tombstones, TombstonesUnusable
from commandline.doctor.asking import ask
from commandline.doctor.checks import Check, fail, ok, warn
from services.privacy.backfill import left_in_clear
from services.privacy.differences import Differences, differences
from services.sealing.sealing import to_rewrap

SEALED, ERASED = "Personal data", "Erasures"
MAKE = "`python -m adapters.temporal.key_files make FILE`, and name it with ORDERSAGA_CUSTOMER_KEYS_FILE"


async def check_personal_data(settings: Settings) -> list[Check]:
    """Master keys, what is left to be sealed or wrapped anew, and the tombstones."""
    if settings.customer_keys_file is None:
        return warn(SEALED, "no master key: it lies in clear", MAKE)
    try:
        ids = list(read_keys(settings.customer_keys_file))
    except KeysUnusable as error:
        return fail(SEALED, str(error), MAKE)
    try:
        stones = await Tombstones(settings.tombstones).read_all()
    except TombstonesUnusable as error:
        return fail(ERASED, str(error), "let the folder of ORDERSAGA_TOMBSTONES be read")
    answer = await ask(settings, partial(_compared, [stone.customer_id for stone in stones]))
    if answer is None:
        return []
    clear, older, found = answer
    if not settings.seals:
        checks = warn(SEALED, "it is not sealed yet", "unset ORDERSAGA_SEALING_LATER once all run this version")
    elif clear or older:
        left = f"{clear} rows to seal, {older} keys to wrap anew"
        checks = warn(SEALED, left, "the relay does it: look at its log")
    else:
        checks = ok(SEALED, f"sealed; {ids[0]} wraps")
    if found.not_erased:
        mend = "the database was restored: `ordersaga privacy replay`"
        return checks + fail(ERASED, f"{len(found.not_erased)} who were erased are there again", mend)
    if found.without_a_stone:
        missing = f"{len(found.without_a_stone)} have no tombstone here: a restore would bring them back"
        return checks + warn(ERASED, missing, "name the folder with ORDERSAGA_TOMBSTONES; erase them again")
    return checks + ok(ERASED, f"{len(stones)} tombstones")


async def _compared(stones: Collection[str], connection: AsyncConnection) -> tuple[int, int, Differences]:
    """Rows to seal, keys to wrap anew, and how the customers of the tombstones are here."""
    clear, older = await left_in_clear(connection), await to_rewrap(connection)
    return clear, older, await differences(connection, stones)
