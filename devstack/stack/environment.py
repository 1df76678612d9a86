"""What a stack takes from the environment of the person who starts it, and what its parts get to see."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from devstack.errors import StackError

# A throw-away stack's parts see these and nothing else: a developer's shell must never charge a card.
HARMLESS = re.compile(r"PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|TMPDIR|TEMP|TMP|LANG|LC_\w+|SYSTEMROOT|COVERAGE_\w+")

TEMPORAL_PLACES = ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE")


# Settings with a usual name; the name with our prefix comes first, as in the service's own settings.
BROKER = "ORDERSAGA_BROKER_URL"

USUAL = ("DATABASE_URL", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE")


class SettingRefused(StackError):
    """A setting that the development stack must not be started with."""


@dataclass(frozen=True)
class External:
    """What already runs elsewhere and is used in place of an embedded part."""

    database_url: str | None = None
    temporal: bool = False
    stripe_api_key: str | None = None
    broker: bool = False


def settled(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with each usual setting under its usual name alone."""
    values = dict(environ)
    for name in USUAL:
        if prefixed := values.pop(f"ORDERSAGA_{name}", None):
            values[name] = prefixed
    return values


def external_parts(environ: Mapping[str, str]) -> External:
    """What `DATABASE_URL`, `TEMPORAL_*`, `STRIPE_API_KEY` and so on name. Raises SettingRefused for a live key."""
    key = environ.get("STRIPE_API_KEY") or None
    if key is not None and not key.startswith(("sk_test_", "rk_test_")):
        kind = "a live key" if key.startswith(("sk_live_", "rk_live_")) else "not a Stripe test key"
        raise SettingRefused(
            f"STRIPE_API_KEY is {kind}, and the development stack places test orders only.\n"
            "Unset it to use the Stripe simulator, or set a key that begins with sk_test_ or rk_test_."
        )
    return External(
        database_url=environ.get("DATABASE_URL") or None,
        temporal=any(environ.get(name) for name in TEMPORAL_PLACES),
        stripe_api_key=key,
        broker=bool(environ.get(BROKER)),
    )


def harmless(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that names no server, key, proxy or setting of ours."""
    return {name: value for name, value in environ.items() if HARMLESS.fullmatch(name)}


def shared(environ: Mapping[str, str]) -> dict[str, str]:
    """A developer's own environment, for `make up`; a proxy in it is kept away from the loopback."""
    return {**environ, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
