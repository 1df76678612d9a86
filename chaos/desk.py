"""The person at the repair desk once all is mended: releases the brake, and has everything that waits try again."""

import asyncio
from contextlib import suppress
from typing import Any

import httpx

EVERY = 10.0  # seconds between two rounds
AGAIN = frozenset(["step_keeps_failing", "step_refused", "refused_after_scan"])
"""Kinds of tickets whose step a person has tried again; what a hand at the dashboard did is not undone by trying."""


async def work(api: httpx.AsyncClient) -> None:
    """One round after the other, until it is canceled."""
    tried = set[str]()
    while True:
        with suppress(httpx.HTTPError, ValueError):  # the API has just been killed
            await _round(api, tried)
        await asyncio.sleep(EVERY)


async def _round(api: httpx.AsyncClient, tried: set[str]) -> None:
    await api.post("/api/brake/release", json={"by": "chaos", "note": "the far ends are mended"})
    for ticket in await _open_tickets(api):
        if ticket["kind"] in AGAIN and ticket["ticketId"] not in tried:
            wanted = {"decision": "retry", "by": "chaos"}
            answer = await api.post(f"/api/repairs/{ticket['ticketId']}/resolve", json=wanted)
            if answer.status_code < 500:
                tried.add(ticket["ticketId"])


async def _open_tickets(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        query = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/api/repairs", params=query)).raise_for_status().json()
        found += page["tickets"]
        cursor = page["nextCursor"]
        if cursor is None:
            return found
