"""Every error is a problem document (RFC 9457), whatever went wrong, and says nothing that it should not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from api.http.body_limit import BODY_LIMIT

JSON = {"Content-Type": "application/json"}


def check(answer: httpx.Response, status: int, slug: str) -> None:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"]) == (f"/problems/{slug}", status)
    assert problem["title"]
    assert problem["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/api/orders/",
        "/api/orders/a/b/c",
        "/api",
    ],
)
async def test_answers_404_where_there_is_nothing(api: httpx.AsyncClient, path: str) -> None:
    """No redirect either: an address is right or wrong."""
    check(await api.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        (f"/api/orders/{'0' * 32}", "no-such-order"),
        ("/api/orders/1", "no-such-order"),
        ("/api/orders/%00", "no-such-order"),
        (f"/api/orders/{'0' * 32}/events", "no-such-order"),
        ("/api/products/none", "no-such-product"),
        ("/api/products/%00", "no-such-product"),
        (f"/api/products/{'x' * 5000}", "no-such-product"),
        ("/api/inventory/none", "no-such-product"),
        ("/api/customers/none", "no-such-customer"),
        ("/api/customers/%ED%A0%80", "no-such-customer"),
    ],
    ids=lambda value: value[:40],
)
async def test_says_which_thing_does_not_exist(api: httpx.AsyncClient, path: str, slug: str) -> None:
    """404 with a type of its own, also for ids that no row can have."""
    check(await api.get(path), 404, slug)


async def test_answers_405_with_the_methods_there_are(api: httpx.AsyncClient) -> None:
    """RFC 9110 asks for Allow."""
    answer = await api.delete("/api/orders")

    check(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "GET, POST"  # of two routes


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b'{"customerId": }',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"\xff\xfe",
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "line\nbreak"}',
    ],
    ids=lambda raw: repr(raw[:20]),
)
@pytest.mark.parametrize("path", ["/api/orders", "/api/products", "/api/customers"])
async def test_answers_400_to_malformed_json(api: httpx.AsyncClient, path: str, raw: bytes) -> None:
    """Also where Python would read more than RFC 8259 allows, or would break on it."""
    check(await api.post(path, content=raw, headers=JSON), 400, "malformed-json")


async def test_answers_415_to_another_media_type(api: httpx.AsyncClient) -> None:
    """`curl -d` without a header sends a form: the answer says what to do."""
    answer = await api.post("/api/orders", data={"customerId": "1"})

    check(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"1", b'"text"'], ids=repr)
async def test_answers_422_to_a_body_of_another_shape(api: httpx.AsyncClient, raw: bytes) -> None:
    """Well-formed JSON that is no object."""
    check(await api.post("/api/orders", content=raw, headers=JSON), 422, "invalid-request")


@pytest.mark.parametrize("path", ["/api/orders", "/webhooks/stripe", "/webhooks/carrier", "/nothing"])
async def test_answers_413_to_a_body_over_the_limit(api: httpx.AsyncClient, path: str) -> None:
    """By its Content-Length."""
    check(await api.post(path, content=b"x" * (BODY_LIMIT + 1), headers=JSON), 413, "content-too-large")


async def test_answers_413_without_a_content_length_too(api: httpx.AsyncClient) -> None:
    """A chunked body is counted as it comes; the rest of it is never read."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 64 * 1024
            yield b"x" * 64 * 1024

    check(await api.post("/api/orders", content=endless(), headers=JSON), 413, "content-too-large")
    assert sent <= BODY_LIMIT + 2 * 64 * 1024


async def test_takes_a_body_of_just_the_limit(api: httpx.AsyncClient) -> None:
    """It is refused for its fields, not for its size."""
    raw = b'{"padding": "' + b"x" * (BODY_LIMIT - 15) + b'"}'
    assert len(raw) == BODY_LIMIT

    check(await api.post("/api/orders", content=raw, headers=JSON), 422, "invalid-request")


async def test_tells_nothing_of_an_error_inside(app: FastAPI, api: httpx.AsyncClient) -> None:
    """500 with no word of the exception."""

    async def broken() -> None:
        raise RuntimeError("secret of the house")

    app.add_api_route("/broken", broken)

    answer = await api.get("/broken")

    check(answer, 500, "internal-error")
    assert "secret" not in answer.text


async def test_does_not_repeat_what_the_client_sent(api: httpx.AsyncClient) -> None:
    """A body may hold names and addresses, and answers end up in logs."""
    wrong = {"customerId": "Alice Secret", "name": "Alice Secret", "email": "Alice Secret"}

    answer = await api.post("/api/customers", json=wrong)

    check(answer, 422, "invalid-request")
    assert "Alice" not in answer.text


async def test_documents_itself(api: httpx.AsyncClient) -> None:
    """OpenAPI has the reference payload, problems as the only shape of errors, and money as text."""
    document = (await api.get("/openapi.json")).json()

    schemas = document["components"]["schemas"]
    assert schemas["OrderWanted"]["examples"][0]["items"] == [{"product_id": 456, "quantity": 2}]
    assert schemas["OrderView"]["properties"]["totalAmount"]["type"] == "string"
    assert "HTTPValidationError" not in str(document)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (path, status)
    assert (await api.get("/docs")).status_code == 200
