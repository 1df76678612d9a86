"""What is the same for every command: where the API is, exit codes, JSON on both streams, help and completion."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from devstack.stack.stack import Stack
from tests.support.command import PROJECT, Command, served
from tests.support.orders import Shop

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
async def url(app: FastAPI) -> AsyncIterator[str]:
    async with served(app) as address:
        yield address


def running_stack(folder: Path, url: str) -> None:
    """Leaves in `folder` what a development stack writes about itself."""
    (folder / ".ordersaga").mkdir()
    (folder / ".ordersaga" / "stack.json").write_text(json.dumps({"api": url, "pids": {"api": 1}}))


async def test_finds_the_api_by_option_variable_and_running_stack(url: str, shop: Shop, tmp_path: Path) -> None:
    """In this order; the stack's file may lie in a folder above."""
    product = await shop.product()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    running_stack(tmp_path, url)
    command = Command(below, {})
    from_stack, from_variable, from_option = await asyncio.gather(
        command("inventory", product, "--json"),
        command("inventory", product, "--json", ORDERSAGA_API_URL=NOWHERE),
        command("inventory", product, "--json", "--api", url, ORDERSAGA_API_URL=NOWHERE),
    )
    assert from_stack.document["productId"] == product
    assert (from_variable.code, from_variable.failure["api"]) == (1, NOWHERE)
    assert from_option.document["productId"] == product


async def test_says_how_to_mend_an_api_that_cannot_be_reached(tmp_path: Path) -> None:
    """For every command alike: exit code 1, the address, who named it, and what to do."""
    command = Command(tmp_path, {"ORDERSAGA_API_URL": NOWHERE})
    calls = (
        ("orders", "list"), ("orders", "watch", "x"), ("orders", "cancel", "x"), ("inventory", "set", "1", "1"),
    )  # fmt: skip
    for ran in await asyncio.gather(*(command(*call, "--json") for call in calls)):
        assert (ran.code, ran.out, ran.failure["code"]) == (1, "", "api_unreachable")
        assert "make up" in ran.failure["mend"] and NOWHERE in ran.failure["detail"]
    told = await command("orders", "list")
    assert (told.code, told.out) == (1, "")
    assert "make up" in told.err and "ORDERSAGA_API_URL" in told.err and "Traceback" not in told.err


async def test_says_how_to_ask_again_for_an_order_of_unknown_fate(tmp_path: Path) -> None:
    """The answer of a checkout may be lost: the key that makes a repeat safe is told."""
    command = Command(tmp_path, {"ORDERSAGA_API_URL": NOWHERE})
    ran = await command("orders", "place", "--customer", "1", "--item", "1", "--json")
    assert "--idempotency-key cli-" in ran.failure["mend"]


async def test_tells_another_server_from_the_api(stack: Stack, tmp_path: Path) -> None:
    """An address that answers something else is not a success and not a traceback."""
    ran = await Command(tmp_path, {})("orders", "list", "--json", "--api", stack.urls.carrier)
    assert (ran.code, ran.failure["code"]) == (1, "not_the_api")


@pytest.mark.parametrize(
    "words",
    [
        ("orders", "list", "--limit", "0"),
        ("orders", "list", "--from", "yesterday"),
        ("orders", "list", "--status", "LOST"),
        ("orders", "list", "--api", "127.0.0.1:8000"),
        ("orders", "place", "--customer", "1", "--item", "1=two"),
        ("orders", "place", "--customer", "1"),
        ("orders", "show"),
        ("inventory", "set", "1", "-1"),
        ("nonsense",),
    ],
    ids=" ".join,
)
async def test_refuses_a_wrong_call_with_exit_code_2(words: tuple[str, ...], tmp_path: Path) -> None:
    """Before anything is asked of the API, and as JSON where JSON is wanted."""
    ran = await Command(tmp_path, {"ORDERSAGA_API_URL": NOWHERE})(*words, "--json")
    assert (ran.code, ran.out, ran.failure["code"]) == (2, "", "usage")
    assert ran.failure["detail"] != ""


@pytest.mark.parametrize("words", [("orders", "list", "--limit", "0"), ("orders", "list", "--from", "yesterday")])
async def test_tells_people_what_was_wrong_with_the_call(words: tuple[str, ...], tmp_path: Path) -> None:
    """Whether typer or the command itself found it: the option is named, on standard error."""
    ran = await Command(tmp_path, {"ORDERSAGA_API_URL": NOWHERE})(*words)
    assert (ran.code, ran.out) == (2, "")
    assert words[2] in ran.err and "Traceback" not in ran.err


async def test_completes_commands_in_the_shell(tmp_path: Path) -> None:
    """The script for the shell, and the words that it asks for."""
    command = Command(tmp_path, {"ORDERSAGA_API_URL": NOWHERE})
    asked = {"_ORDERSAGA_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    script, nouns, orders = await asyncio.gather(
        command("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"),
        command(**asked, COMP_WORDS="ordersaga inventory "),
        command(_ORDERSAGA_COMPLETE="complete_bash", COMP_CWORD="3", COMP_WORDS="ordersaga orders show "),
    )
    assert script.code == 0 and "_ORDERSAGA_COMPLETE=complete_bash" in script.out
    assert nouns.out.split() == ["show", "set", "change"]
    assert (orders.code, orders.out.strip(), orders.err) == (0, "", "")


async def test_completes_the_ids_of_the_latest_orders(url: str, shop: Shop, worker: None, tmp_path: Path) -> None:
    """Those that begin as what was typed."""
    command = Command(tmp_path, {"ORDERSAGA_API_URL": url})
    customer, product = await shop.customer(), await shop.product()
    order_id = (await command("orders", "place", "--customer", customer, "--item", product, "--json")).document[
        "orderId"
    ]
    asked = {"_ORDERSAGA_COMPLETE": "complete_bash", "COMP_CWORD": "3"}
    ran = await command(**asked, COMP_WORDS=f"ordersaga orders cancel {order_id[:6]}")
    assert order_id in ran.out.split()


async def test_answers_alike_in_an_interpreter_of_its_own(url: str, tmp_path: Path) -> None:
    """What the other tests run is a fork of a process that has loaded the command: nothing tells the two apart."""
    variables = {"ORDERSAGA_API_URL": url, "COLUMNS": "90"}
    warm, cold = Command(tmp_path, variables), Command(tmp_path, variables, cold=True)
    for words in (("orders", "show", "nothing"), ("orders", "list", "--limit", "x"), ("inventory", "--help")):
        assert await warm(*words) == await cold(*words)


def test_runs_from_anywhere_by_its_script(tmp_path: Path) -> None:
    """`ordersaga`, also through a link in a folder of PATH."""
    link = tmp_path / "ordersaga"
    link.symlink_to(PROJECT / "ordersaga")
    ran = subprocess.run(
        [link, "--help"], cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert ran.returncode == 0
    assert all(noun in ran.stdout for noun in ("orders", "inventory", "doctor", "import-orders"))
