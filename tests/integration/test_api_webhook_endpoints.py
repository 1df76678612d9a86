"""Webhook endpoints over HTTP and by the command: registered, changed, rotated, tested, and their log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook

from adapters.postgres.database import Sessions
from adapters.settings import Settings
from api.app import create_app
from tests.support.command import Command, served
from tests.support.consumers import order_event
from tests.support.identities import Anybody
from tests.support.merchants import Merchants, turn
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import until

ENDPOINTS = "/api/webhook-endpoints"


@pytest.fixture
async def merchants(engine: AsyncEngine, sessions: Sessions, settings: Settings) -> Merchants:
    made = Merchants(engine, sessions, settings)
    await made.ask("TRUNCATE webhook_deliveries, webhook_secrets, webhook_endpoints")
    return made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def _register(api: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await api.post(ENDPOINTS, json={"url": "https://shop.example.com/hook", **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_an_endpoint_from_its_registration_to_its_end(api: httpx.AsyncClient, merchants: Merchants) -> None:
    """The secret is shown once, and is in no other answer."""
    answer = await api.post(ENDPOINTS, json={"url": "https://shop.example.com/hook", "events": ["OrderCreated"]})
    made = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.headers["location"] == f"{ENDPOINTS}/{made['endpointId']}"
    assert made["secret"].startswith("whsec_") and (made["state"], made["events"]) == ("active", ["OrderPlaced"])

    one = f"{ENDPOINTS}/{made['endpointId']}"
    patch = {"description": "the new shop", "events": ["*"], "state": "disabled"}
    changed = (await api.patch(one, json=patch)).json()
    assert (changed["state"], changed["disabledBecause"], changed["events"]) == ("disabled", "operator", ["*"])
    assert (await api.get(one)).json() == changed
    assert (await api.get(ENDPOINTS)).json() == {"endpoints": [changed]}
    assert "secret" not in changed
    assert (await api.patch(one, json={"state": "active"})).json()["disabledBecause"] is None

    assert (await api.delete(one)).status_code == 204
    assert (await api.get(one)).json()["code"] == "no_such_webhook_endpoint"
    assert (await api.get(ENDPOINTS)).json() == {"endpoints": []}


async def test_a_rotation_shows_the_new_secret_and_how_long_the_old_one_lasts(
    api: httpx.AsyncClient, merchants: Merchants
) -> None:
    """A day if nothing is said; 0 for one that others have got hold of."""
    made = await _register(api)
    one = f"{ENDPOINTS}/{made['endpointId']}/rotate"
    rotated = (await api.post(one)).json()
    assert rotated["secret"] != made["secret"] and rotated["oldUntil"] is not None
    assert (await api.post(one, json={"overlapSeconds": 0})).json()["oldUntil"] is None


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({}, "url", "required"),
        ({"url": "http://shop.example.com/"}, "url", "https is needed"),
        ({"url": "https://169.254.169.254/latest"}, "url", "only public addresses"),
        ({"url": "https://localhost/"}, "url", "names of the internet"),
        ({"url": "https://a.example.com/", "events": []}, "events", "at least 1"),
        ({"url": "https://a.example.com/", "events": ["OrderLost"]}, "events[0]", "there are OrderPlaced, "),
        ({"url": "https://a.example.com/", "events": ["ordersaga.order.placed.v9"]}, "events[0]", "InventoryUpdated"),
        ({"url": "https://a.example.com/", "description": "a\u202eb"}, "description", "control characters"),
        ({"url": "https://a.example.com/", "secret": "mine"}, "secret", "unknown field"),
    ],
)
async def test_a_wrong_endpoint_is_refused_with_the_field(
    api: httpx.AsyncClient, merchants: Merchants, body: dict[str, Any], field: str, said: str
) -> None:
    """At its registration, and just so when it is changed."""
    answers = [await api.post(ENDPOINTS, json=body)]
    if body:
        made = await _register(api)
        answers.append(await api.patch(f"{ENDPOINTS}/{made['endpointId']}", json=body))
    for answer in answers:
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert (error["field"], said.lower() in error["message"].lower()) == (field, True), error


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/we_none", 404, "no_such_webhook_endpoint"),
        ("PATCH", "/we_none", 404, "no_such_webhook_endpoint"),
        ("DELETE", "/we_none", 404, "no_such_webhook_endpoint"),
        ("POST", "/we_none/rotate", 404, "no_such_webhook_endpoint"),
        ("POST", "/we_none/test", 404, "no_such_webhook_endpoint"),
        ("GET", "/we_none/deliveries", 404, "no_such_webhook_endpoint"),
        ("GET", "/%00/deliveries/1", 404, "no_such_webhook_endpoint"),
        ("GET", "/ENDPOINT/deliveries/1", 404, "no_such_delivery"),
        ("GET", "/ENDPOINT/deliveries/x", 404, "no_such_delivery"),
        ("POST", "/ENDPOINT/deliveries/99999999999999999999/redeliver", 404, "no_such_delivery"),
        ("GET", "/ENDPOINT/deliveries?event=OrderLost", 422, "unknown_event_type"),
        ("GET", "/ENDPOINT/deliveries?cursor=x", 422, "invalid_request"),
        ("GET", "/ENDPOINT/deliveries?state=lost", 422, "invalid_request"),
    ],
)
async def test_what_is_not_there_is_told(
    api: httpx.AsyncClient, merchants: Merchants, method: str, path: str, status: int, code: str
) -> None:
    """By a code that is stable."""
    made = await _register(api)
    url = ENDPOINTS + path.replace("ENDPOINT", made["endpointId"])
    answer = await api.request(method, url, json={} if method == "PATCH" else None)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_the_log_tells_every_delivery_and_sends_it_again(
    api: httpx.AsyncClient, merchants: Merchants, receiver: Receiver
) -> None:
    """Page by page, filtered, with each try; nothing is sent again to a disabled endpoint."""
    endpoint, _ = await merchants.register(receiver.url)
    await merchants.happen(*(order_event(f"o{n}", 1) for n in range(3)))
    receiver.answer = lambda got: web.Response(status=200, text="ok") if got.event["subject"] != "o1" else None
    async with merchants.delivering() as loop:
        await turn(loop)
        log = f"{ENDPOINTS}/{endpoint}/deliveries"
        first = (await api.get(log, params={"limit": 2})).json()
        assert [one["subject"] for one in first["deliveries"]] == ["o2", "o1"]
        rest = (await api.get(log, params={"cursor": first["nextCursor"]})).json()
        assert [(one["subject"], one["state"]) for one in rest["deliveries"]] == [("o0", "delivered")]
        (waiting,) = (await api.get(log, params={"state": "waiting", "event": "OrderPlaced"})).json()["deliveries"]
        assert (waiting["subject"], waiting["last"]["error"], waiting["dueAt"] is not None) == ("o1", "closed", True)
        assert (await api.get(log, params={"event": "OrderShipped"})).json()["deliveries"] == []

        receiver.answer = lambda got: web.Response(status=200, text="at last")
        again = await api.post(f"{log}/{waiting['deliveryId']}/redeliver")
        assert again.status_code == 202
        await turn(loop)
    shown = (await api.get(f"{log}/{waiting['deliveryId']}")).json()
    assert [one["answer"] for one in shown["tries"]] == ["", "at last"]
    assert shown["body"] == receiver.got[-1].body.decode()

    await api.patch(f"{ENDPOINTS}/{endpoint}", json={"state": "disabled"})
    refused = await api.post(f"{log}/{waiting['deliveryId']}/redeliver")
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_endpoint_disabled")


async def test_there_may_be_so_many_endpoints(settings: Settings, merchants: Merchants) -> None:
    """One more is refused until one is deleted."""
    app = create_app(settings.model_copy(update={"webhook_endpoints": 1}))
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test", auth=Anybody())
    async with app.router.lifespan_context(app), http as api:
        made = await _register(api)
        refused = await api.post(ENDPOINTS, json={"url": "https://other.example.com/"})
        assert (refused.status_code, refused.json()["code"]) == (409, "too_many_webhook_endpoints")
        await api.delete(f"{ENDPOINTS}/{made['endpointId']}")
        await _register(api)


@pytest.fixture
async def command(
    settings: Settings, merchants: Merchants, receiver: Receiver, tmp_path: Path
) -> AsyncIterator[Command]:
    """For an API in front of a relay's loop; with the fixtures of the database and of the merchant."""
    app = create_app(settings.model_copy(update={"webhook_private_targets": True}))
    async with app.router.lifespan_context(app), served(app) as url, merchants.running():
        yield Command(tmp_path, {"ORDERSAGA_API_URL": url})


@pytest.mark.slow
async def test_operators_test_an_endpoint_and_send_again_by_the_command(
    command: Command, merchants: Merchants, receiver: Receiver
) -> None:
    """What came of it is shown, and is the exit code; a stranger's words do nothing to the terminal."""
    made = (await command("webhooks", "add", receiver.url, "--event", "OrderPlaced", "--json")).document
    endpoint = made["endpointId"]
    tested = await command("webhooks", "test", endpoint)
    assert (tested.code, "delivered" in tested.out, "thanks" in tested.out) == (0, True, True)
    assert Webhook(made["secret"]).verify(receiver.got[0].body, receiver.got[0].headers)

    receiver.answer = lambda got: web.Response(status=500, text="\x1b[31mno")
    assert (await command("webhooks", "test", endpoint)).code == 1
    listed = await command("webhooks", "deliveries", endpoint, "--state", "given_up")
    assert "500" in listed.out and "\x1b" not in listed.out
    number = (await command("webhooks", "deliveries", endpoint, "--json")).document["deliveries"][1]["deliveryId"]
    receiver.answer = lambda got: web.Response()
    assert (await command("webhooks", "redeliver", endpoint, number)).code == 0
    await until(receiver.count, 3)
    await until(merchants.states, ["delivered", "given_up"])
    assert "200" in (await command("webhooks", "delivery", endpoint, number)).out
    assert (await command("webhooks", "redeliver", endpoint)).code == 2
    since = ("--from", "2026-01-01T00:00Z")
    both = await command("webhooks", "redeliver", endpoint, *since, "--everything", "--json")
    assert both.document == {"deliveries": 0}  # tests are not among them


@pytest.mark.slow
async def test_operators_change_an_endpoint_by_the_command(command: Command) -> None:
    """Its secret, its filter, its state; a wrong call says what is possible."""
    added = await command("webhooks", "add", "https://shop.example.com/hook", "--json")
    endpoint = added.document["endpointId"]
    rotated = await command("webhooks", "rotate", endpoint, "--overlap", "60")
    assert "whsec_" in rotated.out and "The old one signs, too" in rotated.out
    wrong = await command("webhooks", "change", endpoint, "--event", "OrderLost")
    assert (wrong.code, "there are OrderPlaced" in wrong.err) == (1, True)
    assert (await command("webhooks", "change", endpoint)).code == 2
    changed = await command("webhooks", "change", endpoint, "--event", "OrderShipped", "--json")
    assert changed.document["events"] == ["OrderShipped"]
    assert "operator" in (await command("webhooks", "disable", endpoint)).out
    assert "operator" not in (await command("webhooks", "enable", endpoint)).out
    assert endpoint in (await command("webhooks", "list")).out
    assert (await command("webhooks", "delete", endpoint)).code == 0
    gone = await command("webhooks", "show", endpoint, "--json")
    assert (gone.code, gone.failure["code"]) == (1, "no_such_webhook_endpoint")
