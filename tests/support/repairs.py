"""The repair desk as an operator uses it, over the API."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.waiting import until

Ticket = dict[str, Any]


class Desk:
    def __init__(self, api: httpx.AsyncClient) -> None:
        self._api = api

    async def tickets(self, order_id: str, status: str = "open") -> list[Ticket]:
        answer = await self._api.get("/api/repairs", params={"orderId": order_id, "status": status})
        assert answer.status_code == 200, answer.text
        found: list[Ticket] = answer.json()["tickets"]
        return found

    async def kinds(self, order_id: str) -> list[str]:
        """Of the open tickets."""
        return [ticket["kind"] for ticket in await self.tickets(order_id)]

    async def is_calm(self, order_id: str) -> bool:
        """Whether nobody is needed."""
        return not await self.tickets(order_id)

    async def called(self, order_id: str, kind: str, step: str | None = None) -> Ticket:
        """The order's open ticket of that kind, as soon as it is there; of other steps there may be others."""

        async def fitting() -> list[str]:
            tickets = await self.tickets(order_id)
            return [one["ticketId"] for one in tickets if one["kind"] == kind and step in (None, one["step"])]

        async def there() -> bool:
            return bool(await fitting())

        await until(there, True)
        return await self.look((await fitting())[0])

    async def look(self, ticket_id: str) -> Ticket:
        answer = await self._api.get(f"/api/repairs/{ticket_id}")
        assert answer.status_code == 200, answer.text
        found: Ticket = answer.json()
        return found

    async def decide(self, ticket: Ticket, decision: str, *, by: str = "alice", **more: str) -> httpx.Response:
        """mark_done comes with evidence, unless `more` says otherwise."""
        proof = {"evidence": "transfer 4711"} if decision == "mark_done" else {}
        body = {"decision": decision, "by": by} | proof | more
        return await self._api.post(f"/api/repairs/{ticket['ticketId']}/resolve", json=body)

    async def settle(self, ticket: Ticket, decision: str, **more: str) -> None:
        """A decision that must be accepted."""
        answer = await self.decide(ticket, decision, **more)
        assert answer.status_code == 200, answer.text
        assert answer.json()["accepted"] is True

    async def trail(self, ticket: Ticket) -> list[tuple[str, str]]:
        """(action, by whom), oldest first."""
        return [(row["action"], row["by"]) for row in (await self.look(ticket["ticketId"]))["actions"]]

    async def settled(self, ticket: Ticket, *trail: tuple[str, str]) -> None:
        """Waits until the audit trail behind the opening is `trail`."""
        await until(lambda: self.trail(ticket), [("opened", "saga"), *trail])
