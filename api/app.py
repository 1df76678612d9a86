"""The application: `uvicorn --factory api.app:create_app`. Nothing is made at import."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from adapters.mail.connect import open_mailer
from adapters.postgres.database import create_engine, create_sessions, dispose
from adapters.postgres.hints import Hints
from adapters.process import told_first
from adapters.settings import Settings
from adapters.stripe.connection import StripeConnection
from adapters.stripe.customers import CustomerGateway
from adapters.stripe.payments import StripeGateway
from adapters.telemetry import runtime as telemetry
from adapters.telemetry import tracing
from adapters.telemetry.health_page import served
from adapters.temporal.client import connect
from adapters.tombstones.folder import Tombstones
from api.audit import routes as audit
from api.brake import routes as brake
from api.carts import reference_routes as reference_carts
from api.carts import routes as carts
from api.coupons import routes as coupons
from api.customers import routes as customers
from api.deps import Services
from api.documentation import routes as documentation
from api.events import routes as events
from api.health import routes as health
from api.http import openapi, problems
from api.http.audit import Audit, AuditTrail
from api.http.authentication import Authentication
from api.http.body_limit import BodyLimit
from api.http.observation import Observation
from api.http.rate_limits import RateLimits, limits_of
from api.http.reference_paths import ReferencePaths
from api.http.request_rules import RequestRules, hosts_of
from api.identities import routes as identities
from api.identities.credentials import credentials_of
from api.inventory import routes as inventory
from api.merchant_webhooks import routes as merchant_webhooks
from api.metrics import routes as metrics
from api.metrics.routes import ApiMetrics, metrics_page
from api.orders import routes as orders
from api.orders.admission import admission_of
from api.orders.live import live_orders
from api.outbox import routes as outbox
from api.privacy import routes as privacy
from api.products import routes as products
from api.promotions import routes as promotions
from api.rates import routes as rates
from api.refunds import routes as refunds
from api.repairs import routes as repairs
from api.webhooks import routes as webhooks
from services.audit import audit as audited
from services.audit.audit import NewEntry
from services.inbox.arrivals import Arrivals
from services.orders.book import OrderBook
from services.orders.hints import hinting
from services.privacy.at_stripe import AtStripe
from services.privacy.desk import PrivacyDesk


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API by `settings`; without any by the environment, and then the process's logs and traces are its own.

    It starts with PostgreSQL, Temporal and the far ends away, and answers 503 until they are there. It only answers
    requests: what follows a webhook, and what makes up for a crash, is the relay's (`relay.py`).
    """
    chosen = settings or Settings()
    if settings is None:
        telemetry.start(chosen, "api", chosen.api_metrics_port)
    measured = ApiMetrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, tracing.stop)
            app.state.services = services = await _services(chosen, stack, measured)
            app.state.limits = services.limits
            pages = {"/metrics": partial(metrics_page, measured, services.reads)}
            await stack.enter_async_context(served(chosen.metrics_host, chosen.api_prometheus_port, pages))
            app.state.audit = trail = AuditTrail(partial(_write_down, services))
            stack.push_async_callback(trail.aclose)
            yield

    app = FastAPI(lifespan=lifespan, redirect_slashes=False, telemetry=tracing.of_requests(), **openapi.APPLICATION)
    app.state.metrics = measured
    app.add_middleware(BodyLimit)
    app.add_middleware(RateLimits)
    app.add_middleware(Authentication)
    app.add_middleware(Audit)
    app.add_middleware(RequestRules, hosts=hosts_of(chosen))
    app.add_middleware(Observation, answered=measured.answered)
    app.add_middleware(ReferencePaths)
    if chosen.trusted_proxies:  # the last one added is the first one asked
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(chosen.trusted_proxies))
    problems.install(app)
    _include_routers(app, chosen)
    openapi.install(app)
    return app


def _include_routers(app: FastAPI, settings: Settings) -> None:
    # The order in which they are tried for a request: those that are asked for most come first.
    nouns = (webhooks, orders, refunds, repairs, brake, products, inventory, customers, outbox, health)
    shop = (carts, reference_carts, promotions, coupons, rates, merchant_webhooks)
    for noun in (*nouns, *shop, identities, audit, privacy, events, documentation):
        app.include_router(noun.router)
    if settings.tells_metrics_with_requests:
        app.include_router(metrics.router)


async def _write_down(services: Services, entries: Sequence[NewEntry]) -> None:
    async with services.reads.connect() as connection:
        await audited.add(connection, entries)


def privacy_desk(settings: Settings, engine: AsyncEngine, stripe: StripeConnection) -> PrivacyDesk:
    """Who answers people that ask for their data."""
    mailer = open_mailer(settings.mail_url.get_secret_value(), settings.mail_from)
    stones, years = Tombstones(settings.tombstones), settings.accounting_years
    return PrivacyDesk(engine, stones, AtStripe(engine, CustomerGateway(stripe)), mailer, years)


async def _services(settings: Settings, stack: AsyncExitStack, measured: ApiMetrics) -> Services:
    engine = create_engine(settings)
    stack.push_async_callback(dispose, engine)
    each_on_its_own = engine.execution_options(isolation_level="AUTOCOMMIT")
    temporal = await connect(settings, lazy=True)
    stripe = StripeConnection(settings)
    stack.push_async_callback(stripe.aclose)
    payments = StripeGateway(stripe)
    arrivals = Arrivals(each_on_its_own)
    stack.push_async_callback(arrivals.aclose)
    admission = admission_of(settings, each_on_its_own, measured.shed)
    measured.admission(lambda: admission.in_flight, lambda: admission.limit)
    hints = Hints(engine)
    stack.push_async_callback(hints.aclose)
    live = await stack.enter_async_context(live_orders(settings, each_on_its_own, measured.dropped))
    stack.enter_context(told_first(live.close))
    measured.listeners(lambda: live.count)
    limits = limits_of(settings, each_on_its_own)
    stack.push_async_callback(limits.aclose)
    sessions = create_sessions(engine)
    return Services(
        settings,
        sessions,
        each_on_its_own,
        temporal,
        payments,
        arrivals,
        admission,
        hints,
        OrderBook(sessions, committed=hinting(hints)),
        live,
        credentials_of(settings, each_on_its_own, stack),
        limits,
        privacy_desk(settings, engine, stripe),
    )
