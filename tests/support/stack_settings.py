"""The settings of tests: those of the stack that runs for them, whatever the developer's shell says."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.settings import Settings
from tests.support.limits import UNLIMITED

PATIENT = 60.0  # seconds: who asks waits for the true answer, also when the machine is busy


def settings_of(environment: Mapping[str, str]) -> Settings:
    """`environment` is that of a stack's processes."""
    return Settings(
        database_url=environment["DATABASE_URL"],
        temporal_address=environment["TEMPORAL_ADDRESS"],
        temporal_namespace=environment["TEMPORAL_NAMESPACE"],
        temporal_ui_url=environment["ORDERSAGA_TEMPORAL_UI_URL"],
        temporal_keys_file=environment["ORDERSAGA_TEMPORAL_KEYS_FILE"],
        customer_keys_file=environment["ORDERSAGA_CUSTOMER_KEYS_FILE"],
        blind_index_secret=environment["ORDERSAGA_BLIND_INDEX_SECRET"],
        tombstones=environment["ORDERSAGA_TOMBSTONES"],
        stripe_api_key=environment["STRIPE_API_KEY"],
        stripe_webhook_secret=environment["STRIPE_WEBHOOK_SECRET"],
        stripe_api_base=environment["ORDERSAGA_STRIPE_API_BASE"],
        carrier_api_base=environment["ORDERSAGA_CARRIER_API_BASE"],
        carrier_api_key=environment["ORDERSAGA_CARRIER_API_KEY"],
        carrier_webhook_secret=environment["ORDERSAGA_CARRIER_WEBHOOK_SECRET"],
        public_url="http://127.0.0.1:8000",
        more_hosts=("api.test",),
        identity_jwks=environment["ORDERSAGA_IDENTITY_JWKS"],
        service_secret=environment["ORDERSAGA_SERVICE_SECRET"],
        database_pool_size=10,
        checkout_budget=PATIENT,
        **UNLIMITED,
        brake_orders=10_000,  # the tests of the brake have their own: all tests share one database
    )
