"""The development stack: PostgreSQL, Temporal, NATS, the simulators, API, worker and relay as supervised processes.

`python -m devstack.stack up` runs it until Ctrl-C. Tests, benchmarks and fault runs use the class.
"""

import asyncio
import fcntl
import json
import os
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from devstack.errors import StackError
from devstack.stack import postgres
from devstack.stack.credentials import Credentials, credentials_of
from devstack.stack.encryption import customer_keys_file, keys_file, make_files, tombstones
from devstack.stack.environment import External, external_parts, harmless, settled, shared
from devstack.stack.identities import make_identities
from devstack.stack.parts import ALL_PARTS, KNOWN_PARTS, NAMESPACE, Blueprint
from devstack.stack.ports import Ports, claim_ports, wanted_ports
from devstack.stack.process import Observer, Part, PartState
from devstack.stack.reference_data import load_reference_data
from devstack.stack.supervisor import Supervisor

CARRIER_CLOCK = (1.0, 2.0)  # seconds until the first scan, and until delivery


class StackBusy(StackError):
    """Another stack runs in the same folder."""


class ProgramMissing(StackError):
    """A server's program is not installed."""


@dataclass(frozen=True)
class Urls:
    """Where the parts of a running stack are found."""

    api: str
    temporal_address: str
    temporal_ui: str
    database_url: str
    stripe: str
    carrier: str
    worker_health: str
    relay_health: str
    nats: str
    codec: str


class Stack:
    """One stack in one folder, running inside `async with`.

    A throw-away one (`ephemeral`) takes free ports and nothing from the environment but where programs are; its
    PostgreSQL does not sync to disk. Another one keeps its state in the folder, takes the wanted ports where it
    can, and uses what `DATABASE_URL`, `TEMPORAL_*` and `STRIPE_API_KEY` name instead of its own parts.
    `parts` are those to start, `carrier_clock` the seconds from label to first scan and to delivery. With a
    database comes its schema, unless `migrate` is false; with an API come the reference products and customers.
    `tailor` may change the parts before they start, and add others. `uses` are variables that name servers of
    another stack, which a throw-away one uses instead of parts of its own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ephemeral: bool = True,
        parts: Collection[str] = ALL_PARTS,
        carrier_clock: tuple[float, float] = CARRIER_CLOCK,
        migrate: bool = True,
        environ: Mapping[str, str] | None = None,
        uses: Mapping[str, str] | None = None,
        observe: Observer = lambda part, state: None,
        tailor: Callable[[Blueprint, list[Part]], list[Part]] = lambda plan, parts: parts,
    ) -> None:
        if unknown := set(parts) - KNOWN_PARTS:
            raise ValueError(f"unknown parts {sorted(unknown)}; there are {sorted(KNOWN_PARTS)}")
        self.folder = folder.resolve()
        self._ephemeral = ephemeral
        self._chosen = frozenset(parts) | (frozenset({"migrations"}) if migrate else frozenset())
        self._carrier_clock = carrier_clock
        self._environ = settled(os.environ if environ is None else environ)
        self._uses = dict(uses or {})
        self._observe = observe
        self._tailor = tailor
        self._lock: IO[str] | None = None
        self._ready = False
        self._plan: Blueprint | None = None
        self._supervisor: Supervisor | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Come back when every part is ready. Raises PartFailed, StackBusy, SettingRefused and the like."""
        external = external_parts(self._uses if self._ephemeral else self._environ)
        self._take_folder()
        try:
            self._plan = await asyncio.to_thread(self._decide, external)
            logs = self.folder / "logs"
            parts = self._tailor(self._plan, self._plan.parts(self._chosen))
            self._supervisor = Supervisor(parts, logs, self._observed)
            await self._supervisor.start()
            if "api" in self._chosen:
                await load_reference_data(self._plan.api, self.folder)
        except BaseException:
            await self.stop()
            raise
        self._ready = True
        self._announce()

    async def stop(self) -> None:
        """Stop every part and give the folder free."""
        self._ready = False
        (self.folder / "stack.json").unlink(missing_ok=True)
        if self._supervisor is not None:
            await self._supervisor.stop()
        if self._ephemeral:
            await asyncio.to_thread(postgres.forget, self.folder)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def plan(self) -> Blueprint:
        """What was decided at the start."""
        if self._plan is None:
            raise RuntimeError("the stack is not started")
        return self._plan

    @property
    def urls(self) -> Urls:
        plan = self.plan
        return Urls(**{field.name: getattr(plan, field.name) for field in fields(Urls)})

    @property
    def ports(self) -> Ports:
        return self.plan.ports

    @property
    def secrets(self) -> Credentials:
        return self.plan.credentials

    @property
    def environment(self) -> dict[str, str]:
        """What the services are configured by: for a worker or an API that runs elsewhere."""
        return self.plan.service_environment()

    def environment_of(self, process: str) -> dict[str, str]:
        """Likewise, with the process's own login at the database."""
        return self.plan.environment_of(process)

    @property
    def parts(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("the stack is not started")
        return self._supervisor

    @property
    def pids(self) -> dict[str, int]:
        return self.parts.pids

    def kill(self, part: str) -> int:
        """SIGKILL a part, which is then started again; `await ready(part)` waits for that. Returns its old pid."""
        return self.parts[part].kill()

    async def ready(self, part: str) -> None:
        """Come back when the part is ready (again)."""
        await self.parts[part].wait_ready()

    async def stop_part(self, part: str) -> None:
        """Stop a part gently; it stays down until `start_part`."""
        await self.parts[part].stop()

    async def start_part(self, part: str) -> None:
        """Start a stopped part on its old port and data."""
        await self.parts[part].start()

    async def failed(self) -> None:
        """Come back only by raising the PartFailed of a part that was given up."""
        await self.parts.failed()

    def _take_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise StackBusy(f"a stack already runs in {self.folder} (process {holder}): stop that first") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        (self.folder / "stack.json").unlink(missing_ok=True)

    def _decide(self, external: External) -> Blueprint:
        make_identities(self.folder)
        wishes = Ports() if self._ephemeral else wanted_ports(self._environ)
        queue = None if self._ephemeral else self._environ.get("ORDERSAGA_TASK_QUEUE")
        home = None
        if external.database_url is None and "postgres" in self._chosen:
            home = postgres.settle(self.folder, self._environ, self._ephemeral)
        plan = Blueprint(
            folder=self.folder,
            ports=claim_ports(wishes),
            credentials=credentials_of(self.folder),
            external=external,
            base=harmless(self._environ) | self._uses if self._ephemeral else shared(self._environ),
            carrier_clock=self._carrier_clock,
            task_queue=queue or "orders",
            postgres=home,
            temporal_program=self._program("temporal"),
            nats_program=self._program("nats-server"),
            has_logins=external.database_url is None or self._ephemeral,
            has_nats="nats" in self._chosen,
        )
        make_files(plan)
        if not external.temporal:
            profile = f'address = "{plan.temporal_address}"\nnamespace = "{NAMESPACE}"\n'
            (self.folder / "temporal.toml").write_text(f"[profile.default]\n{profile}")
        return plan

    def _program(self, name: str) -> Path:
        """The one of the pinned wheel, unless a setting says where another is."""
        variable = f"ORDERSAGA_{name.partition('-')[0].upper()}_BIN"
        setting = self._environ.get(variable)
        program = Path(setting).resolve() if setting else Path(sys.executable).with_name(name)
        if not program.is_file():
            raise ProgramMissing(f"no `{name}` program at {program} (see {variable})")
        return program

    def _observed(self, part: str, state: PartState) -> None:
        self._observe(part, state)
        if self._ready:
            self._announce()

    def _announce(self) -> None:
        """Write `stack.json`, from which tools outside start; whole or not at all."""
        urls = self.urls
        known = {
            "api": urls.api,
            "temporalAddress": urls.temporal_address,
            "temporalUi": urls.temporal_ui,
            "databaseUrl": urls.database_url,
            "stripe": urls.stripe,
            "carrier": urls.carrier,
            "workerHealth": urls.worker_health,
            "relayHealth": urls.relay_health,
            "nats": urls.nats,
            "temporalKeys": str(keys_file(self.plan)),
            "customerKeys": str(customer_keys_file(self.plan)),
            "tombstones": str(tombstones(self.plan)),
            "pids": self.pids,
        }
        unfinished = self.folder / "stack.json.new"
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(known, indent=2) + "\n")
        unfinished.replace(self.folder / "stack.json")
