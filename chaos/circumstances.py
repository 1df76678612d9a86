"""What the service is told in these runs and not elsewhere: shorter times, so that a run sees their ends."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chaos.auditor import CUSTOMER_PATIENCE
from chaos.event_auditor import STOCK_LOW
from chaos.links import RELAYS, SERVICES, WORKERS
from devstack.stack.process import Part

SETTINGS: Mapping[str, str] = {
    "ORDERSAGA_CUSTOMER_PATIENCE": f"PT{CUSTOMER_PATIENCE.total_seconds():.0f}S",
    "ORDERSAGA_FAULT_RETRY": "PT5S",
    "ORDERSAGA_RECONCILE_EVERY": "PT30S",
    "ORDERSAGA_RECONCILE_AFTER": "PT90S",
    "ORDERSAGA_DATABASE_CONNECT_TIMEOUT": "3",
    "ORDERSAGA_DATABASE_STATEMENT_TIMEOUT": "8",
    "ORDERSAGA_STRIPE_TIMEOUT": "8",
    "ORDERSAGA_CARRIER_TIMEOUT": "8",
    "ORDERSAGA_STOCK_LOW": str(STOCK_LOW),
    "ORDERSAGA_LIMIT_CANCELS": "1000/s",  # a few customers do in minutes what a town does in a week
    "ORDERSAGA_LIMIT_DECLINES": "1000/s",
}


def told(parts: Sequence[Part], settings: Mapping[str, str]) -> list[Part]:
    """The same parts; API, workers and relays with these settings."""
    ours = {*SERVICES, *WORKERS, *RELAYS}
    return [
        replace(part, environment={**part.environment, **settings}) if part.name in ours else part for part in parts
    ]
