"""The import rule of the architecture, read from the source itself: who may import whom, and how."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MAY_IMPORT: dict[str, frozenset[str]] = {
    "domain": frozenset(),
    "adapters": frozenset({"domain"}),
    "services": frozenset({"domain", "adapters"}),
    "activities": frozenset({"domain", "adapters", "services"}),
    "workflows": frozenset({"domain", "activities"}),
    "engine": frozenset({"domain", "adapters", "services", "workflows"}),
    "events": frozenset({"domain", "adapters", "services", "workflows", "engine"}),
    "api": frozenset({"domain", "adapters", "services", "workflows", "engine"}),
    "migrations": frozenset({"domain", "adapters", "services"}),
}
"""What each layer may import beside itself."""

TOP = frozenset({"worker", "relay", "codec_server", "cli", "commandline"})  # put everything together
BESIDE = frozenset({"devstack", "benchmarks", "chaos", "ops", "tests"})  # may import the service, not the reverse
OURS = frozenset(MAY_IMPORT) | TOP | BESIDE
PACKAGES = sorted(OURS - {"worker", "relay", "codec_server", "cli", "migrations"})
LONGEST = 300


@dataclass(frozen=True)
class Import:
    file: Path
    line: int
    module: str
    passed_through: bool

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def _files(part: str) -> list[Path]:
    """The part's Python files; none where the part does not exist yet."""
    single = ROOT / f"{part}.py"
    return [single] if single.is_file() else sorted((ROOT / part).rglob("*.py"))


@functools.cache
def _source(file: Path) -> str:
    return file.read_text()


@functools.cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(_source(file))


@functools.cache
def _imports(file: Path) -> list[Import]:
    return list(_walk(file, _tree(file), passed_through=False))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Those inside, one level down: no expression holds an import or the name of a function."""
    return (
        child
        for child in ast.iter_child_nodes(node)
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case)
    )


def _functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for child in _statements(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        yield from _functions(child)


def _walk(file: Path, node: ast.AST, *, passed_through: bool) -> Iterator[Import]:
    for child in _statements(node):
        if isinstance(child, ast.Import):
            names = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            names = [child.module or "." * child.level]
        else:
            yield from _walk(file, child, passed_through=passed_through or _passes_through(child))
            continue
        yield from (Import(file, child.lineno, name, passed_through) for name in names)


def _passes_through(node: ast.AST) -> bool:
    return isinstance(node, ast.With) and any(
        "imports_passed_through" in ast.unparse(item.context_expr) for item in node.items
    )


def _ours(part: str) -> list[Import]:
    """What the part imports of this project, outside of itself."""
    return [one for file in _files(part) for one in _imports(file) if one.package in OURS - {part}]


@pytest.mark.parametrize("layer", list(MAY_IMPORT))
def test_a_layer_imports_only_what_it_may(layer: str) -> None:
    """domain nothing of ours, adapters the domain, and so on: each offender is named."""
    assert _files(layer) != []
    forbidden = [str(one) for one in _ours(layer) if one.package not in MAY_IMPORT[layer]]
    assert forbidden == []


@pytest.mark.parametrize("part", sorted(frozenset(MAY_IMPORT) | TOP))
def test_the_service_imports_no_development_stack_benchmark_or_test(part: str) -> None:
    """What runs in production stands without what only develops it."""
    assert [str(one) for one in _ours(part) if one.package in BESIDE] == []


@pytest.mark.parametrize("file", _files("workflows"), ids=lambda file: file.name)
def test_a_workflow_imports_ours_inside_one_passed_through_block(file: Path) -> None:
    """Anything of ours outside the block would be loaded anew for every order in a sandboxed worker."""
    outside = [str(one) for one in _imports(file) if one.package in OURS and not one.passed_through]
    assert outside == []
    blocks = [node for node in ast.walk(_tree(file)) if _passes_through(node)]
    assert len(blocks) <= 1


def test_the_domain_does_no_io() -> None:
    """Pure: it knows the standard library's values and pydantic, and no driver, server, clock or file."""
    known = {
        "__future__",
        "collections",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "functools",
        "re",
        "typing",
        "pydantic",
        "domain",
    }
    known |= {"base64", "hashlib", "hmac", "ipaddress", "unicodedata"}
    imports = [one for file in _files("domain") for one in _imports(file)]
    unknown = [str(one) for one in imports if one.package not in known and one.module != "urllib.parse"]
    assert unknown == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_init_files_of_packages_are_empty(package: str) -> None:
    """What imports one module gets that module; a sandboxed worker would pay for the others in every order."""
    full = [str(file.relative_to(ROOT)) for file in (ROOT / package).rglob("__init__.py") if file.read_text().strip()]
    assert full == []


@pytest.mark.parametrize("part", sorted(OURS))
def test_no_file_is_longer_than_one_can_read(part: str) -> None:
    """300 lines at most."""
    lengths = {str(file.relative_to(ROOT)): len(_source(file).splitlines()) for file in _files(part)}
    assert {file: lines for file, lines in lengths.items() if lines > LONGEST} == {}


@pytest.mark.parametrize("part", sorted(OURS))
def test_no_function_is_longer_than_a_screen(part: str) -> None:
    """40 lines at most, but for a migration's, which only lists."""
    functions = [
        (file, node) for file in _files(part) if "versions" not in file.parts for node in _functions(_tree(file))
    ]
    long = {
        f"{file.relative_to(ROOT)}:{node.name}": lines
        for file, node in functions
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > 40
    }
    assert long == {}


@pytest.mark.parametrize("part", sorted(OURS))
def test_files_are_named_by_what_is_in_them(part: str) -> None:
    """No drawers for whatever has no other place."""
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
    assert [str(file) for file in _files(part) if file.stem in drawers] == []


def test_reads_imports_wherever_they_stand() -> None:
    """The reading itself: renamed, for types only, passed through, and inside a function."""
    source = (
        "import a.b as c\nfrom d import e\n"
        "if TYPE_CHECKING:\n    from f import g\n"
        "with workflow.unsafe.imports_passed_through():\n    from h import i\n"
        "def f():\n    import j\n"
    )
    found = _walk(Path("x.py"), ast.parse(source), passed_through=False)
    assert [(one.module, one.passed_through) for one in found] == [
        ("a.b", False),
        ("d", False),
        ("f", False),
        ("h", True),
        ("j", False),
    ]
