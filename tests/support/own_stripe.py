"""A simulator of Stripe for a test that must not see, or change, what others do there."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

from pydantic import SecretStr

from adapters.settings import Settings
from devstack.stack.stack import Stack


def with_stripe(stack: Stack, settings: Settings, stripe: Stack) -> tuple[Stack, Settings]:
    """The far ends and the settings, with the simulator of `stripe`, a stack of nothing else, in place of theirs."""
    urls = replace(stack.urls, stripe=stripe.urls.stripe)
    key = SecretStr(stripe.environment["STRIPE_API_KEY"])
    changed = {"stripe_api_base": urls.stripe, "stripe_api_key": key}
    return cast(Stack, SimpleNamespace(urls=urls)), settings.model_copy(update=changed)
