"""The areas inside the layers, read from the source: which area of `services/` imports which, who writes tables."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

AREAS = [
    {"archive", "audit", "consumers", "outbox", "sealing"},
    {"identities", "texts"},
    {"limits"},
    {"catalogue", "customers", "promotions", "rates"},
    {"orders"},
    {"inventory", "notifications", "shipping", "tickets"},
    {"brake", "payments"},
    {"refunds"},
    {"carts", "repairs", "inbox"},
    {"recovery"},
    {"merchant_webhooks"},
    {"insight"},
    {"privacy"},
]
"""An area imports only areas of the ranks before its own."""

RANK = {area: rank for rank, areas in enumerate(AREAS) for area in areas}
WRITES = frozenset({"insert", "update", "delete"})


def _area(module: str) -> str:
    return module.split(".")[1]


def _modules(file: Path) -> list[tuple[int, str]]:
    """Every module that the file imports, with its line; `from a.b import c` names a.b and a.b.c."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.lineno, node.module), *((node.lineno, f"{node.module}.{one.name}") for one in node.names)]
    return found


def _files(layer: str) -> list[Path]:
    return [file for file in sorted((ROOT / layer).rglob("*.py")) if file.name != "__init__.py"]


def test_every_area_has_its_rank() -> None:
    """A new area is put into the order on purpose."""
    assert {one.name for one in (ROOT / "services").iterdir() if one.is_dir() and one.name[0] != "_"} == set(RANK)


@pytest.mark.parametrize("area", sorted(RANK))
def test_an_area_imports_only_areas_before_it(area: str) -> None:
    """No upward arrow and no circle."""
    upward = [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in _files(f"services/{area}")
        for line, module in _modules(file)
        if module.startswith("services.") and _area(module) != area and RANK[_area(module)] >= RANK[area]
    ]
    assert upward == []


def test_routers_import_no_router() -> None:
    """What two routers need has a module of its own."""
    routers = {file for file in _files("api") if "APIRouter(" in file.read_text()}
    names = {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in routers}
    found = [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in sorted(routers)
        for line, module in _modules(file)
        if module in names
    ]
    assert len(routers) > 5
    assert found == []


@pytest.mark.parametrize("layer", ["adapters", "activities", "workflows", "engine", "events", "api", "commandline"])
def test_only_services_write_tables(layer: str) -> None:
    """No other layer adds a row to a session, or builds a statement that writes."""
    found = []
    for file in _files(layer):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called.endswith(("session.add", "session.add_all", "session.delete")) or called in WRITES:
                found.append(f"{file.relative_to(ROOT)}:{node.lineno} {called}")
    assert found == []


def test_adapters_define_no_table() -> None:
    """Drivers of the world outside: a table belongs to the area whose rules it carries."""
    assert [str(file.relative_to(ROOT)) for file in _files("adapters") if "table=True" in file.read_text()] == []


def test_the_command_line_imports_nothing_of_the_api() -> None:
    """It speaks to the API over HTTP."""
    found = [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in _files("commandline")
        for line, module in _modules(file)
        if module.startswith("api.")
    ]
    assert found == []


def test_opening_a_ticket_does_not_import_stripe() -> None:
    """Nor does anything that it imports: calling a person must not depend on the far end that fails."""
    seen: set[str] = set()
    waiting = ["services.tickets.book"]
    while waiting:
        module = waiting.pop()
        file = ROOT / (module.replace(".", "/") + ".py")
        if module in seen or not file.is_file():
            seen.add(module)
            continue
        seen.add(module)
        waiting += [name for _, name in _modules(file)]
    assert (
        sorted(name for name in seen if name.partition(".")[0] == "stripe" or name.startswith("adapters.stripe"))
        == []
    )
