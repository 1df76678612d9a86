"""Cursors that no list gave out, sent to every list."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from tests.support.orders import Shop

NUL, LATE = "\0", "9999-12-31T23:59:59-23:59"
WRONG = {
    "a year too early": ["0001-01-01T00:00:00+23:59", "a"],
    "a year too late": [LATE, "a"],
    "a time without an offset": ["2026-01-01T00:00:00", "a"],
    "no time": ["x", "a"],
    "NUL": [NUL, NUL],
    "NUL alone": [NUL],
    "half a character": ["\ud800"],
    "numbers": [1],
    "lists": [[]],
    "nothing": [],
    "no list": {"0": "a"},
    "too much": ["9" * 600],
    "too many": ["a", "b", "c"],
}
LISTS = ("/api/orders", "/api/customers", "/api/products", "/api/repairs")


@pytest.mark.parametrize("words", WRONG)
async def test_a_tampered_cursor_is_refused_by_every_list(api: httpx.AsyncClient, words: str) -> None:
    """422 with the field's name: never an error inside, whatever the database would say to it."""
    cursor = base64.urlsafe_b64encode(json.dumps(WRONG[words]).encode()).decode().rstrip("=")
    for path in LISTS:
        answer = await api.get(path, params={"cursor": cursor})
        assert answer.status_code == 422, path
        assert [error["field"] for error in answer.json()["errors"]] == ["cursor"], path


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"])
async def test_the_first_and_the_last_time_that_there_are_can_be_asked_for(
    api: httpx.AsyncClient, shop: Shop, at: str
) -> None:
    """Only what is in no year at all is refused."""
    cursor = base64.urlsafe_b64encode(json.dumps([at, "a"]).encode()).decode().rstrip("=")
    assert (await api.get("/api/orders", params={"cursor": cursor})).status_code == 200
