"""What operators do with published events: over HTTP and by the command."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from httpx import ASGITransport

from adapters.clock import now
from adapters.settings import Settings
from api.app import create_app
from tests.support.command import Command, served
from tests.support.fake_broker import FakeBroker
from tests.support.outbox import Outbox, applied, drained

HOUR = timedelta(hours=1)


async def test_the_command_replays_and_unparks(outbox: Outbox, own: Settings, tmp_path: Path) -> None:
    """What a broker lost it has again; an event that it refused is shown, and sent again when asked for."""
    broker = FakeBroker()
    broker.refuses = lambda event: event.subject == "bad"
    await outbox.write("good", "bad", "bad")
    relay = outbox.relay(broker)
    await drained(relay)
    broker.lose_tail(1)

    app = create_app(own)
    async with app.router.lifespan_context(app), served(app) as url:
        command = Command(tmp_path, {"ORDERSAGA_API_URL": url})
        since = (now() - HOUR).isoformat()
        again = await command("events", "replay", "--from", since, "--by", "ann", "--type", "OrderPlaced")
        assert (again.code, "1 events are published again" in again.out) == (0, True)

        listed = await command("events", "parked", "--json")
        (parked,) = listed.document["events"]
        assert (parked["subject"], parked["because"], parked["behind"]) == ("bad", "too large", 1)
        assert "too large" in (await command("events", "parked")).out

        broker.refuses = lambda event: False
        unparked = await command("events", "unpark", parked["eventId"])
        assert (unparked.code, "2 events are tried again" in unparked.out) == (0, True)
        twice = await command("events", "unpark", parked["eventId"])
        assert (twice.code, "event_not_parked" in twice.err) == (1, True)
        assert "None" in (await command("events", "parked")).out
    await drained(relay)
    assert applied(broker) == {"good": [1], "bad": [1, 2]}


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"by": "ann"}, "from", "required"),
        ({"from": "2026-03-01T00:00:00Z"}, "by", "required"),
        ({"from": "2026-03-01T00:00:00", "by": "ann"}, "from", "timezone"),
        ({"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z", "by": "ann"}, "", "later than"),
        ({"from": "2026-03-01T00:00:00Z", "type": "OrderLost", "by": "ann"}, "type", "there are OrderPlaced, "),
        ({"from": "2026-03-01T00:00:00Z", "since": "x", "by": "ann"}, "since", ""),
    ],
)
async def test_a_wrong_replay_is_refused_with_the_field(
    own: Settings, body: dict[str, str], field: str, said: str
) -> None:
    app = create_app(own)
    http = httpx.AsyncClient(transport=ASGITransport(app), base_url="http://api.test")
    async with app.router.lifespan_context(app), http as client:
        refused = await client.post("/api/events/replays", json=body)
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert field in error["field"]
    assert said.lower() in error["message"].lower()
