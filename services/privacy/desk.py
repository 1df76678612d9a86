"""Answers people who ask for their data: hands it out, erases it, and erases it again after a restore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.tombstones.folder import Tombstone, Tombstones, TombstonesUnusable
from domain.errors import Unavailable
from services.privacy import erasure, export
from services.privacy.at_stripe import AtStripe
from services.privacy.differences import differences
from services.privacy.erasure import Erased
from services.sealing.sealing import sealing_vault


class Messages(Protocol):
    """Where copies of messages may lie."""

    async def forget(self, message_ids: Sequence[int]) -> None:
        """One that is not there is as good."""
        ...


class Answer(NamedTuple):
    """What became of an erasure. `at_stripe` False: Stripe could not be reached, the relay goes on asking."""

    stone: Tombstone
    at_stripe: bool


@dataclass(frozen=True)
class PrivacyDesk:
    """`accounting_years`: how long what invoices need is kept, from the end of the year of the last order."""

    engine: AsyncEngine
    tombstones: Tombstones
    at_stripe: AtStripe
    messages: Messages
    accounting_years: int

    async def export(self, customer_id: str) -> dict[str, Any]:
        """Everything that is held on a customer. Raises NotFound."""
        async with self.engine.connect() as connection:
            return await export.export(connection, customer_id)

    async def erase(self, customer_id: str) -> Answer:
        """Erases a customer; a repeat does what was left. Raises NotFound, Conflict, Unavailable.

        The tombstone is on disk before anything is committed: whatever breaks in between, a replay completes it.
        """
        async with self.engine.begin() as connection:
            _require_master_key(connection)
            stone = await erasure.plan(connection, customer_id, self.accounting_years)
            stone = await self._remember(stone)
            erased = await erasure.carry_out(connection, stone)
        assert erased is not None  # its row was locked
        return Answer(stone, await self._elsewhere(erased))

    async def replay(self) -> list[str]:
        """Erases whoever has a tombstone and is there again; their ids."""
        stones = {stone.customer_id: stone for stone in await self.tombstones.read_all()}
        async with self.engine.connect() as connection:
            _require_master_key(connection)
            missing = (await differences(connection, stones)).not_erased
        for customer_id in missing:
            async with self.engine.begin() as connection:
                erased = await erasure.carry_out(connection, stones[customer_id])
            if erased is not None:
                await self._elsewhere(erased)
        return missing

    async def _remember(self, stone: Tombstone) -> Tombstone:
        try:
            return await self.tombstones.add(stone)
        except TombstonesUnusable as error:
            raise Unavailable("tombstones_unusable", f"nobody is erased: {error}") from None

    async def _elsewhere(self, erased: Erased) -> bool:
        await self.messages.forget(erased.message_ids)
        if erased.stripe_customer_id is None:
            return True
        return await self.at_stripe.delete(erased.stone.customer_id, erased.stripe_customer_id)


def _require_master_key(connection: AsyncConnection) -> None:
    if sealing_vault(connection) is None:
        raise Unavailable("no_master_key", "nothing is sealed here: set customer_keys_file first")
