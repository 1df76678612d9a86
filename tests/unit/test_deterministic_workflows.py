"""Workflow code decides the same at every replay: it reads no clock, no chance and nothing from outside.

No sandbox stands around it (docs/decisions/0025-fewer-events.md); the other guard is the replay of histories.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "workflows").rglob("*.py"), *(ROOT / "domain").rglob("*.py")])

ALLOWED_MODULES = frozenset([
    "__future__", "abc", "asyncio", "base64", "bisect", "collections", "contextlib", "dataclasses", "datetime",
    "decimal", "enum", "functools", "hashlib", "hmac", "ipaddress", "itertools", "json", "math",
    "re", "string", "types", "typing",
    "unicodedata", "activities", "domain", "workflows", "temporalio", "pydantic", "pydantic_core",
])  # fmt: skip
"""What these may import: nothing with a clock, chance, threads, files or sockets behind its functions, but for ..."""

ALLOWED_OF_ASYNCIO = frozenset(["CancelledError", "Lock", "Task", "create_task", "shield"])
"""... asyncio, of which the SDK makes these deterministic (`wait` and `as_completed` go through sets) ..."""

CLOCKS = frozenset(["now", "utcnow", "today", "fromtimestamp"])
"""... and datetime, whose clock is read from `workflow` instead, as is `uuid4`."""

BUILTINS = frozenset(["open", "input", "print", "exec", "eval", "id", "hash", "__import__"])


def faults(tree: ast.Module) -> Iterator[str]:
    """What in a module may differ from one run to the next."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names if not _allowed(alias.name))
            case ast.ImportFrom(module=str(module)) if not _allowed(module) or module == "asyncio":
                yield module
            case ast.Attribute(ast.Name("asyncio"), name) if name not in ALLOWED_OF_ASYNCIO:
                yield f"asyncio.{name}"
            case ast.Attribute(owner, name) if name in CLOCKS and ast.unparse(owner) != "workflow":
                yield ast.unparse(node)
            case ast.Call(ast.Name(name)) if name in BUILTINS:
                yield name
            case ast.For(iter=gone_through) | ast.comprehension(iter=gone_through) if _is_set(gone_through):
                yield f"for ... in {ast.unparse(gone_through)}"


def _allowed(module: str) -> bool:
    return module.partition(".")[0] in ALLOWED_MODULES or module == "urllib.parse"


def _is_set(node: ast.expr) -> bool:
    """Whether it is plainly a set, whose order is another one in every process."""
    made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
    return made or isinstance(node, ast.Set | ast.SetComp)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_workflow_code_is_deterministic(file: Path) -> None:
    """The workflows and the pure rules that they call."""
    assert list(faults(ast.parse(file.read_text()))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "import time",
        "from uuid import uuid4",
        "from os import environ",
        "import threading",
        "import httpx",
        "at = datetime.now()",
        "at = datetime.now(UTC)",
        "day = date.today()",
        "asyncio.wait({a, b})",
        "asyncio.to_thread(read)",
        "from asyncio import as_completed",
        "text = open('file').read()",
        "for step in {'a', 'b'}: run(step)",
        "steps = [step for step in set(steps)]",
        "order = hash(name)",
    ],
)
def test_what_may_differ_is_found(source: str) -> None:
    """Each kind of what must not stand in a workflow."""
    assert list(faults(ast.parse(source)))


def test_the_workflows_own_clock_passes() -> None:
    """As do locks and tasks, which the SDK schedules by itself."""
    source = "at, key, lock = workflow.now(), workflow.uuid4(), asyncio.Lock()"
    assert list(faults(ast.parse(source))) == []
