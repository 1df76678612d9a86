"""What the domain refuses, and how HTTP says it: by one table, in one package."""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from api.http.problems import answer
from api.http.statuses import STATUS, ForeignBody
from domain.errors import BadField, Conflict, InvalidInput, Refused, Unavailable

ROOT = Path(__file__).resolve().parents[2]
KNOWS_NO_HTTP = ["domain", "services", "activities", "workflows", "engine", "events"]
HTTP_LIBRARIES = frozenset(["fastapi", "starlette", "http"])


def _files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _kinds(of: type[Refused] = Refused) -> Iterator[type[Refused]]:
    for kind in of.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _raised() -> dict[str, set[str]]:
    """Each code that the source names, with the classes that are made with it."""
    names = {kind.__name__ for kind in _kinds()}
    found = defaultdict(set)
    for package in [*KNOWS_NO_HTTP, "api"]:
        for file in _files(package):
            for called, call in _calls(file):
                if called in names and call.args and isinstance(call.args[0], ast.Constant):
                    found[str(call.args[0].value)].add(called)
    return found


def test_every_kind_of_refusal_has_its_status() -> None:
    """A kind without one would be answered 500."""
    known = {kind.__name__ for kind in STATUS}
    made = {
        node.name
        for package in [*KNOWS_NO_HTTP, "api"]
        for file in _files(package)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & {"Refused", *known}
    }
    assert made == known
    assert set(_kinds()) == set(STATUS)


def test_a_code_is_of_one_kind_and_so_of_one_status() -> None:
    """A program that reacts to a code may rely on the status, wherever the refusal came from."""
    raised = _raised()
    assert {"no_such_order", "total_changed", "engine_away", "bad_signature"} <= raised.keys()
    assert {code: kinds for code, kinds in raised.items() if len({STATUS[_kind(name)] for name in kinds}) > 1} == {}
    assert [code for code in raised if not code.replace("_", "").isalpha() or code != code.lower()] == []


def _kind(name: str) -> type[Refused]:
    return next(kind for kind in _kinds() if kind.__name__ == name)


@pytest.mark.parametrize("package", KNOWS_NO_HTTP)
def test_only_the_api_knows_http(package: str) -> None:
    """What a consumer or a command wants to use again has no status in it."""
    found = []
    for file in _files(package):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{file.relative_to(ROOT)}: {name}" for name in names if name.split(".")[0] in HTTP_LIBRARIES]
    assert found == []


def test_no_module_of_the_api_outside_of_its_http_package_names_the_status_of_an_error() -> None:
    """But for what routes document."""
    files = [file for file in _files("api") if file.relative_to(ROOT).parts[1] != "http"]
    assert len(files) > 20
    assert [f"{file.relative_to(ROOT)}:{line}" for file in files for line in _error_statuses(file)] == []


def _error_statuses(file: Path) -> list[int]:
    """Lines with a number from 400 to 599, or HTTPException; not what `documented` gets, nor lengths."""
    tree = ast.parse(file.read_text())
    lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "HTTPException"]
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "documented":
            continue
        if isinstance(node, ast.keyword) and node.arg == "max_length":
            continue
        if isinstance(node, ast.Dict):  # a status is a key
            waiting += [value for value in node.values if not isinstance(value, ast.Constant)]
            waiting += [key for key in node.keys if key is not None]
            continue
        if isinstance(node, ast.Constant) and type(node.value) is int and 400 <= node.value < 600:
            lines.append(node.lineno)
        waiting += ast.iter_child_nodes(node)
    return lines


def test_writes_the_names_of_fields_and_members_as_clients_know_them() -> None:
    """Inside of the service they are Python's."""
    field = BadField("items[0].product_id", "there is no product of this id")
    refused = Conflict("total_changed", "it is 1.00", fields=[field], total_amount="1.00", links={"self_link": "/"})

    response = answer(refused, {"Location": "/api"})

    assert (response.status_code, response.headers["Location"]) == (409, "/api")
    assert response.media_type == "application/problem+json"
    assert json.loads(bytes(response.body)) == {
        "type": "/problems/total-changed",
        "title": "Total changed",
        "status": 409,
        "code": "total_changed",
        "detail": "it is 1.00",
        "totalAmount": "1.00",
        "links": {"self_link": "/"},
        "errors": [{"field": "items[0].productId", "message": "there is no product of this id"}],
    }


def test_leaves_the_names_of_a_senders_fields_alone() -> None:
    """A webhook is in the words of Stripe or of the carrier."""
    field = BadField("data.object.payment_intent", "Input should be a valid string")
    [error] = json.loads(bytes(answer(ForeignBody("invalid_request", "bad", fields=[field])).body))["errors"]
    [ours] = json.loads(bytes(answer(InvalidInput("invalid_request", "bad", fields=[field])).body))["errors"]

    assert (error["field"], ours["field"]) == ("data.object.payment_intent", "data.object.paymentIntent")


@pytest.mark.parametrize(("retry_after", "header"), [(None, "2"), (timedelta(seconds=15), "15")])
def test_says_when_to_come_again(retry_after: timedelta | None, header: str) -> None:
    """Every 503 does: the usual time of a restart, or as long as this one needs."""
    response = answer(Unavailable("not_now", "later", retry_after=retry_after))

    assert (response.status_code, response.headers["Retry-After"]) == (503, header)
