"""`ordersaga doctor`: looks at everything that the service needs, and says how to mend what is not right."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict

from pydantic import ValidationError
from rich.console import RenderableType
from rich.text import Text

from commandline.configuration import Configuration, configuration
from commandline.doctor.checks import Check, State, check_api, check_brake, check_temporal, fail
from commandline.doctor.consumers import check_consumers
from commandline.doctor.database_roles import check_database_roles
from commandline.doctor.encryption import check_keys
from commandline.doctor.events import check_broker, check_outbox, check_routes
from commandline.doctor.far_ends import check_carrier, check_database, check_secrets, check_stripe
from commandline.doctor.merchants import check_merchants
from commandline.doctor.privacy import check_personal_data
from commandline.doctor.relay import check_inbox, check_relay_health
from commandline.doctor.worker import check_worker_health
from commandline.output import Printer, state, table
from commandline.places import Place

LONGEST = 20.0  # seconds for everything that one part is asked


async def doctor(place: Place, out: Printer) -> int:
    """The exit code: 1 when a check failed, else 0; a warning is none."""
    checks = await examine(place, configuration)
    healthy = not any(check.state is State.FAIL for check in checks)
    document = {"healthy": healthy, "checks": [asdict(check) for check in checks]}
    out.show(document, lambda: _told(checks, healthy))
    return 0 if healthy else 1


async def examine(place: Place, configure: Callable[[], Configuration]) -> list[Check]:
    """All checks, asked at the same time, told in a fixed order."""
    asked: list[tuple[str, Awaitable[list[Check]]]] = [
        ("API", check_api(place)),
        ("Brake", check_brake(place)),
    ]
    unusable: list[Check] = []
    try:
        found = configure()
    except ValidationError as error:
        unusable = _bad_settings(error)
    else:
        settings = found.settings
        asked += [
            ("Temporal", check_temporal(found)),
            ("Encryption keys", check_keys(settings)),
            ("Database", check_database(settings)),
            ("Database roles", check_database_roles(settings)),
            ("Personal data", check_personal_data(settings)),
            ("Stripe key", check_stripe(settings)),
            ("Webhook secrets", check_secrets(settings)),
            ("Carrier", check_carrier(settings)),
            ("Worker health", check_worker_health(settings)),
            ("Relay health", check_relay_health(settings)),
            ("Webhook inbox", check_inbox(settings)),
            ("Broker", check_broker(settings)),
            ("Outbox", check_outbox(settings)),
            ("Consumers", check_consumers(settings)),
            ("Event routes", check_routes(settings)),
            ("Merchant webhooks", check_merchants(settings)),
        ]
    answers = await asyncio.gather(*(_guarded(name, question) for name, question in asked))
    return unusable + [check for answer in answers for check in answer]


async def _guarded(name: str, question: Awaitable[list[Check]]) -> list[Check]:
    """A check that breaks is one that failed: the others still have something to say."""
    try:
        async with asyncio.timeout(LONGEST):
            return await question
    except Exception as error:
        return fail(name, f"the check itself broke: {type(error).__name__}", "look at the service's log")


def _bad_settings(error: ValidationError) -> list[Check]:
    """Without the values: they may be secrets."""
    found: list[Check] = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"])
        said = problem["msg"].removeprefix("Value error, ")
        found += fail("Settings", f"{name}: {said}" if name else said, "set it right; the README lists all settings")
    return found


def _told(checks: Sequence[Check], healthy: bool) -> Iterator[RenderableType]:
    rows = table("Check", "", "Found", "Mend")
    for check in checks:
        rows.add_row(check.name, state(check.state), Text(check.found), Text(check.mend))
    yield rows
    yield Text("All that the service needs is there.", "green") if healthy else Text("Not healthy.", "bold red")
