"""The checks of `ordersaga doctor` for database, Stripe and carrier."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import stripe
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.carrier.gateway import CarrierGateway
from adapters.identity_settings import LOOPBACK
from adapters.postgres.database import create_engine
from adapters.settings import Settings
from adapters.stripe.errors import translate
from commandline.doctor.checks import PATIENCE, Check, fail, ok, warn
from domain.errors import Misconfigured, OrderSagaError, ShipmentNotFound

OLDEST_POSTGRES = 15
MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
NO_SUCH_SHIPMENT = "shp_doctor"  # looked for and not found: proof that the carrier answers and takes the key


async def check_database(settings: Settings, oldest: int = OLDEST_POSTGRES) -> list[Check]:
    """The server, and whether its schema is the one that this code was written for; asked as the service asks."""
    mend = "start it (`make up`), or set DATABASE_URL"
    try:
        engine = create_engine(settings)
    except (ValueError, ArgumentError) as error:
        return fail("Database", f"DATABASE_URL makes no sense: {type(error).__name__}", mend)
    where = f"{engine.url.host}:{engine.url.port or 5432}/{engine.url.database}"
    try:
        async with engine.connect() as connection:
            major = int(await connection.scalar(text("SELECT current_setting('server_version_num')"))) // 10_000
            found = [_version(where, major, oldest), await _check_migrations(connection)]
    except (OSError, TimeoutError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return fail("Database", f"{where} cannot be reached: {_kind(error)}", mend)
    finally:
        await engine.dispose()
    return [check for checks in found for check in checks]


def _kind(error: BaseException) -> str:
    """The kind of the driver's own error, not its words: they may hold the URL, and with it the password."""
    wrapped = getattr(error, "orig", None) or error
    return type(wrapped.__cause__ or wrapped).__name__


def _version(where: str, major: int, oldest: int) -> list[Check]:
    if major < oldest:
        return fail("Database", f"{where} is PostgreSQL {major}", f"upgrade it to PostgreSQL {oldest} or later")
    return ok("Database", f"{where}, PostgreSQL {major}")


async def _check_migrations(connection: AsyncConnection) -> list[Check]:
    migrate = "alembic upgrade head"
    script = ScriptDirectory(str(MIGRATIONS))
    heads = set(script.get_heads())
    if not await connection.scalar(text("SELECT to_regclass('alembic_version')::text")):
        return fail("Migrations", "the database has no tables of the service yet", migrate)
    at = set((await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars())
    if at == heads:
        return ok("Migrations", f"at head, {', '.join(sorted(at))}")
    known = {revision.revision for revision in script.walk_revisions()}
    there = ", ".join(sorted(at)) or "nothing"
    if not at <= known:
        return fail("Migrations", f"at {there}, which this code does not know", "run the code that migrated it")
    return fail("Migrations", f"at {there}, not at {', '.join(sorted(heads))}", migrate)


async def check_stripe(settings: Settings) -> list[Check]:
    """The key, by its looks and by a call that moves nothing: one payment is listed."""
    key, base = settings.stripe_api_key.get_secret_value(), settings.stripe_api_base
    set_it = "set STRIPE_API_KEY to a key of https://dashboard.stripe.com/apikeys"
    if not key:
        return fail("Stripe key", "none is set", set_it)
    if base is None and settings.has_placeholder("stripe_api_key"):
        return fail("Stripe key", "the placeholder, which Stripe does not know", set_it)
    if base is not None and settings.stripe_is_live:
        mend = "unset ORDERSAGA_STRIPE_API_BASE, or take a test key: a live one belongs to Stripe alone"
        return fail("Stripe key", f"a live key would be sent to {base}", mend)
    kind = _kind_of(key)
    where = base or "Stripe"
    http = stripe.HTTPXClient(timeout=PATIENCE, allow_sync_methods=False)
    client = stripe.StripeClient(
        key, http_client=http, max_network_retries=0, base_addresses={"api": base} if base else None
    )
    try:
        await client.v1.payment_intents.list_async({"limit": 1})
    except stripe.StripeError as error:
        meant = translate(error)
        if isinstance(meant, Misconfigured):
            return fail("Stripe key", f"{where} refuses the {kind} key (HTTP {error.http_status})", set_it)
        mend = "check the way out to api.stripe.com" if base is None else "start it (`make up`)"
        return fail("Stripe key", f"{where} does not answer: {type(error).__name__}", mend)
    finally:
        await http.close_async()  # type: ignore[no-untyped-call]
    if settings.has_placeholder("stripe_api_key"):
        return warn("Stripe key", f"the placeholder, which {where} takes", f"{set_it} before anything is sold")
    return ok("Stripe key", f"a {kind} key, accepted by {where}")


def _kind_of(key: str) -> str:
    for kind in ("test", "live"):
        if key.startswith((f"sk_{kind}_", f"rk_{kind}_")):
            return kind
    return "unknown kind of"


async def check_secrets(settings: Settings) -> list[Check]:
    """Whether webhooks can be verified. A placeholder is known to everyone: it does on this machine only."""
    found: list[Check] = []
    for name, setting, mend in (
        (
            "Stripe webhook secret",
            "stripe_webhook_secret",
            "set STRIPE_WEBHOOK_SECRET to the signing secret of the endpoint /webhooks/stripe in Stripe's dashboard",
        ),
        ("Carrier webhook secret", "carrier_webhook_secret", "set ORDERSAGA_CARRIER_WEBHOOK_SECRET"),
    ):
        value = getattr(settings, setting).get_secret_value()
        if not value:
            found += fail(name, "none is set: webhooks cannot be verified", mend)
        elif settings.has_placeholder(setting):
            found += warn(name, "the placeholder, which everybody knows", mend)
        elif setting == "stripe_webhook_secret" and not value.startswith("whsec_"):
            found += warn(name, "does not begin with whsec_ as Stripe's do", mend)
        else:
            found += ok(name, "is set")
    return found


async def check_carrier(settings: Settings) -> list[Check]:
    base = settings.carrier_api_base
    gateway = CarrierGateway(settings)
    try:
        async with asyncio.timeout(PATIENCE):
            await gateway.retrieve(NO_SUCH_SHIPMENT)
    except ShipmentNotFound:
        pass  # it answered, and knows no such shipment
    except Misconfigured:
        return fail("Carrier", f"{base} refuses the key", "set ORDERSAGA_CARRIER_API_KEY")
    except (OrderSagaError, TimeoutError) as error:
        mend = "start it (`make up`), or set ORDERSAGA_CARRIER_API_BASE"
        return fail("Carrier", f"{base} cannot be reached: {error or 'no answer in time'}", mend)
    finally:
        await gateway.aclose()
    if urlsplit(base).hostname not in LOOPBACK and settings.has_placeholder("carrier_api_key"):
        return fail("Carrier", f"the placeholder key is used at {base}", "set ORDERSAGA_CARRIER_API_KEY")
    return ok("Carrier", f"{base} answers and takes the key")
