"""What consumers and clients can read of the service: `/asyncapi.json`, `/events`, `/docs`, without the internet."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from jsonschema import Draft4Validator

from adapters.settings import Settings
from api.app import create_app
from api.events.asyncapi import document
from domain.event_registry import REGISTRY

LOADS = {"script": "src", "link": "href", "img": "src", "iframe": "src"}


class _Page(HTMLParser):
    """What a page loads, where it leads, what is in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.ids: set[str] = set()
        self.inline: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if address := given.get(LOADS.get(tag, "")):
            self.loads.append(address)
        elif tag == "script" or tag == "style":
            self.inline.append(tag)
        if tag == "a":
            self.leads.append(given["href"] or "")
        if given.get("id"):
            self.ids.add(given["id"] or "")
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
async def api() -> AsyncIterator[httpx.AsyncClient]:
    """Without any server behind it: none of the pages needs one."""
    transport = httpx.ASGITransport(create_app(Settings(more_hosts="api.test")))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield client


@pytest.fixture(params=["/events", "/docs"])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_page_loads_only_what_this_server_has(api: httpx.AsyncClient, path: str) -> None:
    """Every file is there with its type, nothing comes from elsewhere, no script stands in the page itself."""
    answer = await api.get(path)
    page = _Page(answer.text)
    assert (answer.status_code, page.inline, page.open) == (200, [], [])
    assert all(address.startswith(("/", "data:")) and not address.startswith("//") for address in page.loads)
    for address in page.loads:
        if address.startswith("/"):
            loaded = await api.get(address)
            wanted = {"css": "text/css", "js": "text/javascript", "png": "image/png"}[address.rpartition(".")[2]]
            assert (loaded.status_code, loaded.headers["content-type"].partition(";")[0]) == (200, wanted)
            assert len(loaded.content) > 50


async def test_a_page_tells_the_browser_to_load_nothing_else(api: httpx.AsyncClient, path: str) -> None:
    """Also where somebody got a script of theirs into it."""
    headers = (await api.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy.get("script-src") == (None if path == "/events" else "'self'")
    assert not re.search(r"https?:|\*|unsafe", str(policy))
    assert headers["x-content-type-options"] == "nosniff"


async def test_the_page_of_events_has_all_of_them_with_an_example(api: httpx.AsyncClient) -> None:
    """And each link inside it finds its place."""
    html = (await api.get("/events")).text
    page = _Page(html)
    for event in REGISTRY:
        assert event.type in html
        assert f"{event.name.value}.v{event.version}" in page.ids
        assert event.tells.partition("`")[0].replace("'", "&#39;") in html
    assert html.count("<summary>Example</summary>") == len(REGISTRY)
    assert {address[1:] for address in page.leads if address.startswith("#")} <= page.ids
    for address in page.leads:
        assert address.startswith("#") or address in ("/asyncapi.json", "/docs")


async def test_serves_the_asyncapi_document(api: httpx.AsyncClient) -> None:
    """The one that the tests check."""
    answer = await api.get("/asyncapi.json")
    assert answer.json() == document()
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "other", ["/redoc", "/docs/oauth2-redirect", "/docs/index.html", "/docs/..%2fapp.py", "/docs/swagger-ui.js"]
)
async def test_serves_no_other_page_or_file(api: httpx.AsyncClient, other: str) -> None:
    """Neither FastAPI's own pages, which load scripts from elsewhere, nor whatever else lies in the wheel."""
    assert (await api.get(other)).status_code in (404, 422)


def _operations(document: dict[str, Any]) -> dict[str, set[str]]:
    return {path: set(operations) for path, operations in document["paths"].items()}


def _words(value: Any, found: set[str]) -> set[str]:
    if isinstance(value, dict):
        for word, one in value.items():
            found.add(word)
            _words(one, found)
    elif isinstance(value, list):
        for one in value:
            _words(one, found)
    return found


async def test_swagger_gets_the_document_in_words_that_it_knows(api: httpx.AsyncClient) -> None:
    """Its version reads OpenAPI 3.0: the same operations, no null type, and schemas that are valid there."""
    new, old = (await api.get("/openapi.json")).json(), (await api.get("/docs/openapi.json")).json()
    assert (new["openapi"], old["openapi"]) == ("3.1.0", "3.0.3")
    assert _operations(old) == _operations(new)
    assert "'type': 'null'" in str(new)
    assert "'type': 'null'" not in str(old)
    assert _words(old, set()).isdisjoint({"const", "propertyNames", "$defs", "prefixItems"})
    assert set(old["components"]["schemas"]) == set(new["components"]["schemas"])
    for schema in old["components"]["schemas"].values():  # what 3.0 calls a schema is close to draft 4
        Draft4Validator.check_schema(schema)
