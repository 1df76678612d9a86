"""`make audit`: bad requests are the same for the same seed, and an audit that did not happen is no pass."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

import pytest

from devstack.audit import advisories
from devstack.audit.bad_requests import LARGEST, bad_requests
from devstack.audit.cost import TAKEN, measured

CLEAN = {"name": "httpx", "version": "0.28.1", "vulns": []}


def said(stdout: str, stderr: str = "", code: int = 0) -> advisories.Run:
    def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(list(command), code, stdout, stderr)

    return run


@pytest.mark.parametrize(
    ("packages", "outcome"),
    [
        ([CLEAN], advisories.PASSED),
        ([CLEAN | {"vulns": [{"id": "PYSEC-1"}]}], advisories.FOUND),
        ([{"name": "httpx", "skip_reason": "could not be reached"}], advisories.NOT_LOOKED),
        ([], advisories.NOT_LOOKED),
    ],
    ids=["clean", "vulnerable", "skipped", "nothing"],
)
def test_only_what_was_looked_up_passes(packages: list[object], outcome: int) -> None:
    assert advisories.look(said(json.dumps({"dependencies": packages}))) == outcome


def test_says_clearly_that_nothing_was_looked_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the tool itself is missing, or ends with 0."""
    assert advisories.look(said("", "No module named pip_audit", 1)) == advisories.NOT_LOOKED
    assert advisories.look(said("No known vulnerabilities found")) == advisories.NOT_LOOKED
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert all(line.startswith("NOT AUDITED") for line in told)


def test_the_same_seed_makes_the_same_requests() -> None:
    first, again, other = bad_requests(1, 2000), bad_requests(1, 2000), bad_requests(2, 2000)
    assert first == again != other
    assert all(len(one.body) <= LARGEST for one in first)


def test_each_is_refused_and_none_costs_much() -> None:
    """Against an API behind a socket, by the CPU of its thread; twice what `make audit` allows of."""
    good, costs = measured(bad_requests(3, 600))
    assert {cost.request.name for cost in costs if cost.status >= 500 and cost.status != TAKEN} == set()
    assert sum(400 <= cost.status < 500 for cost in costs) > 0.95 * len(costs)
    assert costs[0].seconds < 40 * good, (costs[0].seconds / good, costs[0].request.name)
