"""The definition of each part: its command, its environment, its readiness probe, what it needs."""

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.identities.development import PUBLIC
from devstack.stack import logins
from devstack.stack.credentials import Credentials
from devstack.stack.encryption import codec, files_of_keys
from devstack.stack.environment import BROKER, External
from devstack.stack.far_ends import carrier, stripe
from devstack.stack.ports import LOOPBACK, Ports
from devstack.stack.postgres import DATABASE, USER, PostgresHome
from devstack.stack.probes import database_there, http_ok, namespace_there, worker_polls
from devstack.stack.process import Part

if TYPE_CHECKING:
    from temporalio.client import Client
    from temporalio.envconfig import ClientConnectConfig

PROJECT = Path(__file__).resolve().parents[2]
NAMESPACE = "default"
SEARCH_ATTRIBUTES = {
    "OrderStatus": "Keyword", "CustomerId": "Keyword", "OrderTotal": "Double", "NeedsAttention": "Bool",
}  # fmt: skip
ALL_PARTS = frozenset({"postgres", "temporal", "stripe", "carrier", "api", "worker", "relay", "nats"})
KNOWN_PARTS = ALL_PARTS | {"codec"}  # the latter is for people, and needed by no other part

# The development server's defaults suit a large cluster. One history shard polls 20 times a second, so a busy
# order waits 50 ms at every step, and timers and retries fire to the second. These values cost nothing at idle.
DYNAMIC_CONFIG = {
    "history.transferProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxPollRPS": "2000",
    "history.visibilityProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxTimeShift": '"1ms"',
    "system.forceSearchAttributesCacheRefreshOnRead": "false",
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
}


@dataclass(frozen=True)
class Blueprint:
    """Everything that is decided before the first part of a stack starts."""

    folder: Path
    ports: Ports
    credentials: Credentials
    external: External
    base: Mapping[str, str]  # the environment that every part gets, before the stack's own values
    carrier_clock: tuple[float, float]  # seconds until the first scan, and until delivery
    task_queue: str
    postgres: PostgresHome | None
    temporal_program: Path
    nats_program: Path
    has_logins: bool = True  # of each process, at the database: somebody else's has them only if that was made for us
    has_nats: bool = True  # among its parts: without a broker events stay in the outbox

    @property
    def api(self) -> str:
        return f"http://{LOOPBACK}:{self.ports.api}"

    @property
    def temporal_ui(self) -> str:
        return f"http://{LOOPBACK}:{self.ports.temporal_ui}"

    @property
    def temporal_address(self) -> str:
        if self.external.temporal:
            return str(self._external_temporal().get("target_host", ""))
        return f"{LOOPBACK}:{self.ports.temporal}"

    @property
    def database_url(self) -> str:
        if self.external.database_url:
            return self.external.database_url
        return f"postgresql://{USER}:{self.credentials.postgres_password}@{LOOPBACK}:{self.ports.postgres}/{DATABASE}"

    def database_of(self, process: str) -> str:
        """The database as a process sees it: with its own login, which owns nothing."""
        return logins.url_of(process, self.database_url) if self.has_logins else self.database_url

    @property
    def stripe(self) -> str:
        return f"http://{LOOPBACK}:{self.ports.stripe}"

    @property
    def carrier(self) -> str:
        return f"http://{LOOPBACK}:{self.ports.carrier}"

    @property
    def worker_health(self) -> str:
        return f"http://{LOOPBACK}:{self.ports.worker_health}"

    @property
    def relay_health(self) -> str:
        return f"http://{LOOPBACK}:{self.ports.relay_health}"

    @property
    def nats(self) -> str:
        """As consumers know it: an account that may read and nothing else."""
        if self.external.broker:
            return self.base.get("ORDERSAGA_BROKER_CONSUMER_URL") or self.base[BROKER]
        return f"nats://consumer:{self.credentials.nats_consumer_password}@{LOOPBACK}:{self.ports.nats}"

    @property
    def codec(self) -> str:
        return f"http://{LOOPBACK}:{self.ports.codec}"

    async def connect(self) -> "Client":
        """A client of the stack's Temporal, wherever that runs."""
        from temporalio.client import Client

        if self.external.temporal:
            return await Client.connect(**self._external_temporal())
        return await Client.connect(self.temporal_address, namespace=NAMESPACE)

    def _external_temporal(self) -> "ClientConnectConfig":
        from temporalio.envconfig import ClientConfig

        return ClientConfig.load_client_connect_config(override_env_vars=self.base)

    def environment_of(self, process: str) -> dict[str, str]:
        """What the API, the worker or the relay is configured by."""
        return self.service_environment() | {"DATABASE_URL": self.database_of(process)}

    def service_environment(self) -> dict[str, str]:
        """What all of them have; the database is the owner's, as migrations see it."""
        values = {
            **self.base,
            "DATABASE_URL": self.database_url,
            "STRIPE_WEBHOOK_SECRET": self.credentials.stripe_webhook_secret,
            "ORDERSAGA_CARRIER_API_BASE": self.carrier,
            "ORDERSAGA_CARRIER_API_KEY": self.credentials.carrier_api_key,
            "ORDERSAGA_CARRIER_WEBHOOK_SECRET": self.credentials.carrier_webhook_secret,
            "ORDERSAGA_TASK_QUEUE": self.task_queue,
            "ORDERSAGA_PUBLIC_URL": self.api,
            "ORDERSAGA_IDENTITY_JWKS": str(self.folder / PUBLIC),
            "ORDERSAGA_SERVICE_SECRET": self.credentials.service_secret,
            **files_of_keys(self),
            "ORDERSAGA_MAIL_URL": self.base.get("ORDERSAGA_MAIL_URL") or f"folder:{self.folder / 'mail'}",
        }
        if self.external.database_url is None and self.external.stripe_api_key is None:
            # All parts are on this machine, and so may be who gets webhooks.
            values["ORDERSAGA_WEBHOOK_PRIVATE_TARGETS"] = "true"
        if self.external.stripe_api_key:
            values["STRIPE_API_KEY"] = self.external.stripe_api_key
            values["STRIPE_WEBHOOK_SECRET"] = self.base.get("STRIPE_WEBHOOK_SECRET", values["STRIPE_WEBHOOK_SECRET"])
        else:
            values |= {"STRIPE_API_KEY": self.credentials.stripe_api_key, "ORDERSAGA_STRIPE_API_BASE": self.stripe}
        if self.has_nats and not self.external.broker:
            relay = f"nats://relay:{self.credentials.nats_relay_password}@{LOOPBACK}:{self.ports.nats}"
            values |= {BROKER: relay, "ORDERSAGA_BROKER_CONSUMER_URL": self.nats}
        if self.external.temporal:
            namespace = self._external_temporal().get("namespace", NAMESPACE)
            values |= {"TEMPORAL_ADDRESS": self.temporal_address, "TEMPORAL_NAMESPACE": namespace}
        else:
            values |= {
                "TEMPORAL_ADDRESS": self.temporal_address,
                "TEMPORAL_NAMESPACE": NAMESPACE,
                # Instead of the one in the developer's home, whose default profile may name a cloud and its key.
                "TEMPORAL_CONFIG_FILE": str(self.folder / "temporal.toml"),
                "ORDERSAGA_TEMPORAL_UI_URL": self.temporal_ui,
                "ORDERSAGA_BUILD_ID": "",  # a worker with a version does nothing before somebody makes it current
            }
        return values

    def parts(self, chosen: frozenset[str]) -> list[Part]:
        """The chosen parts, without those that run elsewhere."""
        makers: dict[str, Callable[[Blueprint], Part]] = {
            "stripe": stripe, "carrier": carrier, "migrations": migrations, "api": api, "worker": worker,
            "relay": relay, "codec": codec,
        }  # fmt: skip
        if self.postgres is not None:
            makers["postgres"] = partial(postgres, home=self.postgres)
        if not self.external.temporal:
            makers["temporal"] = temporal
        if self.external.stripe_api_key:
            del makers["stripe"]
        if not self.external.broker:
            makers["nats"] = nats
        return [make(self) for name, make in makers.items() if name in chosen]


def postgres(plan: Blueprint, home: PostgresHome) -> Part:
    password = plan.credentials.postgres_password
    return Part(
        name="postgres",
        command=home.command(plan.ports.postgres),
        environment=home.environment(),
        folder=home.folder,
        ready=database_there(plan.ports.postgres, USER, password, DATABASE),
        prepare=lambda: asyncio.to_thread(home.make_cluster, password),
        account=home.account,
        stop_signal=signal.SIGINT,  # "fast": ends the sessions; SIGTERM would wait for them
        orphan_signal=signal.SIGQUIT,  # "immediate": its children go with it
    )


def temporal(plan: Blueprint) -> Part:
    ports = plan.ports
    command = [str(plan.temporal_program), "server", "start-dev", "--log-level", "error", "--ip", LOOPBACK]
    command += ["--port", str(ports.temporal), "--ui-port", str(ports.temporal_ui), "--ui-disable-news-fetch"]
    command += ["--ui-codec-endpoint", plan.codec]  # answers to who has signed in there
    command += ["--http-port", str(ports.temporal_http), "--metrics-port", str(ports.temporal_metrics)]
    command += ["--db-filename", str(plan.folder / "temporal.db")]
    command += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"]
    for name, value in DYNAMIC_CONFIG.items():
        command += ["--dynamic-config-value", f"{name}={value}"]
    for name, kind in SEARCH_ATTRIBUTES.items():
        command += ["--search-attribute", f"{name}={kind}"]
    own = {name: value for name, value in plan.base.items() if not name.startswith("TEMPORAL_")}
    # Without the second it asks the internet at every start whether there is a newer version.
    quiet = {"TEMPORAL_CONFIG_FILE": str(plan.folder / "temporal.toml"), "TEMPORAL_VERSION_CHECK_DISABLED": "1"}
    return Part(
        name="temporal",
        command=command,
        environment=own | quiet,
        folder=plan.folder,
        ready=namespace_there(plan.temporal_address, NAMESPACE, SEARCH_ATTRIBUTES),
    )


def nats(plan: Blueprint) -> Part:
    """Who may do what is the same as in docker-compose.yml."""
    command = [str(plan.nats_program), "-c", str(PROJECT / "ops" / "nats" / "nats.conf"), "-n", "ordersaga"]
    command += ["-a", LOOPBACK, "-p", str(plan.ports.nats), "-m", str(plan.ports.nats_monitor)]
    command += ["-sd", str(plan.folder / "nats")]
    own = {
        "NATS_RELAY_PASSWORD": plan.credentials.nats_relay_password,
        "NATS_CONSUMER_PASSWORD": plan.credentials.nats_consumer_password,
    }
    ready = http_ok(plan.ports.nats_monitor, "/healthz?js-enabled-only=true")
    return Part(name="nats", command=command, environment={**plan.base, **own}, folder=plan.folder, ready=ready)


def migrations(plan: Blueprint) -> Part:
    return Part(
        name="migrations",
        command=[sys.executable, "-m", "alembic", "upgrade", "head"],
        environment=plan.service_environment(),
        folder=PROJECT,
        needs=frozenset({"postgres"}),
    )


def api(plan: Blueprint) -> Part:
    command = [sys.executable, "-m", "uvicorn", "api.app:create_app", "--factory", "--no-access-log"]
    command += ["--http", "api.http.connection:BoundedProtocol", "--no-server-header", "--no-proxy-headers"]
    command += ["--host", LOOPBACK, "--port", str(plan.ports.api), "--timeout-graceful-shutdown", "5"]
    return Part(
        name="api",
        command=command,
        environment=plan.environment_of("api"),
        folder=PROJECT,
        ready=http_ok(plan.ports.api, "/readyz"),
        needs=frozenset({"temporal", "migrations"}),
    )


def worker(plan: Blueprint) -> Part:
    return Part(
        name="worker",
        command=[sys.executable, "worker.py"],
        environment=plan.environment_of("worker") | {"ORDERSAGA_WORKER_HEALTH_PORT": str(plan.ports.worker_health)},
        folder=PROJECT,
        ready=worker_polls(plan.connect, plan.task_queue, clocks_agree=not plan.external.temporal),
        needs=frozenset({"temporal", "migrations", "stripe", "carrier"}),
    )


def relay(plan: Blueprint) -> Part:
    return Part(
        name="relay",
        command=[sys.executable, "relay.py"],
        environment=plan.environment_of("relay") | {"ORDERSAGA_RELAY_HEALTH_PORT": str(plan.ports.relay_health)},
        folder=PROJECT,
        ready=http_ok(plan.ports.relay_health, "/readyz"),
        needs=frozenset({"temporal", "migrations"}),
    )
