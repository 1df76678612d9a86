"""What an import has done already, one JSON object a line, so that the same command goes on where it stopped.

It saves work and keeps the report as it was; it is not what makes a repeat safe. That is the Idempotency-Key of each
invoice: with the journal lost, the same orders are found again. So a line is flushed, but not forced to the disk.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from commandline.failures import Failure, Misused

VERSION = 1
BEGINNING = b'{"what": "import"'
HOLD = timedelta(days=1)
"""How long an order that the file cancels waits before it would ship (the API takes five days at most)."""
HOLD_LEAST = timedelta(hours=1)


@dataclass
class Facts:
    """What the journal tells; all by invoice number, but the stock and the customers."""

    hold_until: str | None = None  # RFC 3339
    stocked: dict[str, int] = field(default_factory=dict)  # pieces that were brought in, by product
    customers: set[str] = field(default_factory=set)
    placed: dict[str, str] = field(default_factory=dict)  # order ids
    refused: dict[str, str] = field(default_factory=dict)  # why the API would not place it
    canceled: dict[str, str] = field(default_factory=dict)  # "" when accepted, else why not
    failed: dict[str, str] = field(default_factory=dict)  # what broke in this run: not written down
    settled: dict[str, Mapping[str, str]] = field(default_factory=dict)  # status, paymentStatus, total, currency

    def learn(self, entry: Mapping[str, Any]) -> None:
        match entry["what"]:
            case "import":
                self.hold_until = entry["holdUntil"]
            case "stocked":
                self.stocked[entry["product"]] = entry["pieces"]
            case "customer":
                self.customers.add(entry["customer"])
            case "placed":
                self.placed[entry["invoice"]] = entry["order"]
            case "refused":
                self.refused[entry["invoice"]] = entry["reason"]
            case "cancel":
                self.canceled[entry["invoice"]] = entry["refusal"]
            case "settled":
                self.settled[entry["invoice"]] = entry


class Journal:
    """Open while an import runs; only one may. `facts` is what is done."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.facts = Facts()
        self._identity = identity
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
        except OSError as error:
            raise Misused(f"--journal: {self.path} cannot be opened: {error.strerror}") from None
        try:
            self._lock(self._file)
            self._read(self._file)
        except Failure:
            self._file.close()
            raise
        self._hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def note(self, what: str, **more: Any) -> None:
        """Writes an entry down and learns it."""
        entry = {"what": what, **more}
        self._write(entry)
        self.facts.learn(entry)

    def begin_anew(self) -> Path:
        """Puts what was written aside, under another name, and starts empty."""
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        assert self._file is not None
        self._file.seek(0)
        aside.write_bytes(self._file.read())
        self._file.truncate(0)
        self.facts = Facts()
        self._hold()
        return aside

    def _lock(self, file: IO[bytes]) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure("import_running", f"another import works with the journal {self.path}") from None

    def _read(self, file: IO[bytes]) -> None:
        """Nothing is written before every line was understood: the file may be something else."""
        file.seek(0)
        written = file.read()
        whole, _, torn = written.rpartition(b"\n")
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                entry = json.loads(line)
                if number == 1 and (entry["file"], entry["version"]) != (self._identity, VERSION):
                    raise Misused(f"--journal: {self.path} is the journal of another file: name another one")
                self.facts.learn(entry)
            except (ValueError, KeyError, TypeError):
                raise self._no_journal(number) from None
        if not whole and not BEGINNING.startswith(torn[: len(BEGINNING)]):
            raise self._no_journal(1)
        if torn:  # a kill in the middle of a line: the next entry must not be glued to it
            file.truncate(len(written) - len(torn))

    def _no_journal(self, line: int) -> Misused:
        return Misused(f"--journal: {self.path}, line {line}, is not of a journal: name another file")

    def _hold(self) -> None:
        """Decides, before the first order, until when held ones wait: a repeated request must have the same body."""
        now, until = datetime.now(UTC), self.facts.hold_until
        if until is None or datetime.fromisoformat(until) - now < HOLD_LEAST:
            later = (now + HOLD).isoformat(timespec="seconds")
            self.note("import", file=self._identity, version=VERSION, holdUntil=later)

    def _write(self, entry: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
