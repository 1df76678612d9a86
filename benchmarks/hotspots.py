"""From a profile to words: CPU by package, and the functions that take most of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOP = 25
OURS = ("activities", "adapters", "api", "domain", "engine", "services", "workflows", "benchmarks")
NOT_PYTHON = "~"  # what the profiler has for the file of a built-in function

Function = tuple[str, int, str]  # file, line, name
# As the profiler has them: (calls from outside, all calls, own seconds, seconds with called, the same by caller).
# Each time that a coroutine goes on counts as a call.
Entries = dict[Function, tuple[int, int, float, float, dict[Function, Any]]]


_NOTHING: Any = (0, 0, 0.0, 0.0, {})


@dataclass
class Line:
    """A function or a package: CPU seconds of its own, with all that it called, and its calls."""

    name: str
    own: float = 0.0
    with_called: float = 0.0
    calls: int = 0


def merged(profiles: Sequence[Entries]) -> Entries:
    """All threads together."""
    total: Entries = {}
    for profile in profiles:
        for function, entry in profile.items():
            total[function] = _combined(total.get(function, _NOTHING), entry, 1)
    return total


def without(after: Entries, before: Entries) -> Entries:
    """What came between two readings of the same profile."""
    left = {function: _combined(entry, before.get(function, _NOTHING), -1) for function, entry in after.items()}
    return {function: entry for function, entry in left.items() if entry[1] > 0}


def _combined(one: Any, other: Any, sign: int) -> Any:
    outer, calls, own, whole = (a + sign * b for a, b in zip(one[:4], other[:4], strict=True))
    callers = dict(one[4])
    for caller, part in other[4].items():
        known = callers.get(caller, _NOTHING[:4])
        callers[caller] = tuple(a + sign * b for a, b in zip(known, part, strict=True))
    return outer, calls, own, whole, callers


def told(role: str, entries: Entries, orders: int) -> str:
    """The report on one process. CPU in milliseconds per order, which the profiler itself multiplies."""
    total = sum(entry[2] for entry in entries.values())
    parts = [f"{role}: {1000 * total / orders:.1f} ms of CPU per order in Python, {orders} orders"]
    parts.append(_table("by package, built-in functions counted for their callers", by_package(entries), orders))
    functions = [
        Line(named(key), entry[2], entry[3], entry[1])
        for key, entry in entries.items()
        if package_of(key[0]) != "benchmarks"
    ]
    parts.append(_table("functions, by what they take themselves", _most(functions, lambda line: line.own), orders))
    parts.append(_table("functions, with what they call", _most(functions, lambda line: line.with_called), orders))
    return "\n\n".join(parts) + "\n"


def by_package(entries: Entries) -> list[Line]:
    """Own time by package. A built-in function's time belongs to those that call it."""
    packages: dict[str, Line] = {}

    def count(file: str, seconds: float, calls: int) -> None:
        line = packages.setdefault(package_of(file), Line(package_of(file)))
        line.own, line.calls = line.own + seconds, line.calls + calls

    for (file, _, _), (_, calls, own, _, callers) in entries.items():
        if file != NOT_PYTHON:
            count(file, own, calls)
            continue
        for (caller, _, _), (_, _, own_for_caller, _) in callers.items():
            count(caller, own_for_caller, 0)
        count(NOT_PYTHON, own - sum(part[2] for part in callers.values()), 0)
    return _most(packages.values(), lambda line: line.own)


def package_of(file: str) -> str:
    """`sqlalchemy`, `api`, or `python` for the standard library."""
    path = Path(file)
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1].removesuffix(".py")
    for part in path.parts:
        if part in OURS:
            return part
    if file == NOT_PYTHON:
        return "built-in"
    return "python" if f"{path.parent.name}/".startswith(("python3", "asyncio", "lib")) else path.name


def named(function: Function) -> str:
    file, line, name = function
    if file == NOT_PYTHON:
        return name
    return f"{package_of(file)}: {Path(file).name}:{line} {name}"


def _most(lines: Iterable[Line], by: Callable[[Line], float]) -> list[Line]:
    return sorted(lines, key=by, reverse=True)[:TOP]


def _table(heading: str, lines: Iterable[Line], orders: int) -> str:
    rows = [f"{heading}\n{'own ms':>9} {'with called':>12} {'calls':>8}   per order"]
    for line in lines:
        own, whole = 1000 * line.own / orders, 1000 * line.with_called / orders
        rows.append(f"{own:9.3f} {whole:12.3f} {line.calls / orders:8.1f}   {line.name}")
    return "\n".join(rows)
