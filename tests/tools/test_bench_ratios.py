"""The service beside the toy saga: ratios within a round, their aims, and what is told of a change."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from benchmarks import quick
from benchmarks.errors import BenchmarkFailed
from benchmarks.figures import Measurement, Spread, rows
from benchmarks.load import Shift
from benchmarks.ratios import Ratio, ratios
from benchmarks.report import Run, machine_facts, markdown
from benchmarks.service import Service


def measured(contender: str, number: int, at_once: int, seconds: float, cpu: dict[str, float]) -> Measurement:
    return Measurement(contender, at_once, number, 10, seconds, [seconds] * 10, cpu, 23, 0.0, wall=2.0)


TOYS_CPU = {"Temporal": 0.5, "PostgreSQL": 0.1, "worker": 0.4, "load generator": 9.0}
OUR_CPU = {"Temporal": 1.0, "PostgreSQL": 0.2, "worker": 0.6, "API": 0.3, "relay": 0.3, "simulators": 9.0}


def a_round(number: int, slower: float = 1.0) -> list[Measurement]:
    return [
        measured("plain", number, 1, 1.0 * slower, TOYS_CPU),
        measured("service", number, 1, 2.0 * slower, OUR_CPU),
        measured("ours, eager start", number, 1, 0.5 * slower, TOYS_CPU),
        measured("plain", number, 50, 1.0 * slower, TOYS_CPU),
        measured("service", number, 50, 1.5 * slower, OUR_CPU),
        measured("service, ready to ship", number, 50, 2.0 * slower, OUR_CPU),
    ]


def test_ratios_are_to_the_toy_of_the_same_round() -> None:
    """A round in which the machine was three times as slow changes none of them."""
    found = {ratio.name: ratio for ratio in ratios([*a_round(1), *a_round(2, slower=3.0)], {})}
    assert found["rate"].value == Spread(0.5, 0.5, 0.5)
    assert found["answer"].value == Spread(2.0, 2.0, 2.0)
    assert found["eager"].value == Spread(2.0, 2.0, 2.0)
    assert "eager, many" not in found


def test_a_contender_that_came_twice_in_a_round_counts_with_its_mean() -> None:
    twice = [*a_round(1), measured("plain", 1, 1, 3.0, TOYS_CPU)]
    found = {ratio.name: ratio.value.median for ratio in ratios(twice, {})}
    assert found["answer"] == pytest.approx(2.0 / 2.0)


def test_cpu_is_of_service_engine_and_database_without_far_ends_and_load() -> None:
    found = {ratio.name: ratio.value.median for ratio in ratios(a_round(1), {})}
    assert found["CPU"] == pytest.approx(2.4 / 1.0)


def test_what_the_processes_take_at_rest_is_no_order_s() -> None:
    at_rest = {"Temporal": 0.1, "service's worker": 0.05, "engine worker": 0.1}
    found = {ratio.name: ratio.value.median for ratio in ratios(a_round(1), at_rest)}
    assert found["CPU, busy"] == pytest.approx((2.4 - 2 * 0.15) / (1.0 - 2 * 0.2))


def test_an_aim_is_met_on_its_good_side() -> None:
    half = Spread(0.5, 0.4, 0.6)
    assert Ratio("answer", "", half, 0.8, at_most=True).met
    assert not Ratio("rate", "", half, 0.6, at_most=False).met


def test_the_report_tells_each_ratio_with_its_aim() -> None:
    found = a_round(1)
    run = Run(machine_facts(), {"rounds": 1}, {}, found, rows(found, "plain"))
    text = markdown(run, {})
    assert "| orders ready to ship per second, 50 at once | 0.50 | at least 0.6 | no |" in text
    assert "| the checkout's answer, p50, 1 at once | 2.00 | at most 0.8 | no |" in text


def a_ratio(name: str, value: float, *, at_most: bool) -> Ratio:
    return Ratio(name, "", Spread(value, value, value), 1.0, at_most)


@pytest.mark.parametrize(
    ("now", "at_most", "fell"),
    [(0.84, False, True), (0.86, False, False), (1.2, False, False), (1.16, True, True), (1.14, True, False)],
)
def test_a_ratio_fell_when_it_is_worse_by_more_than_the_noise(now: float, at_most: bool, fell: bool) -> None:
    (change,) = quick.changes([a_ratio("rate", now, at_most=at_most)], {"rate": 1.0})
    assert change.fell is fell
    assert ("WORSE" in quick.told(change)) is fell


def test_a_recorded_ratio_that_was_not_measured_is_an_error() -> None:
    with pytest.raises(BenchmarkFailed, match="answer"):
        quick.changes([a_ratio("rate", 1.0, at_most=False)], {"rate": 1.0, "answer": 2.0})


def test_what_is_recorded_can_be_compared_with_and_names_no_machine(tmp_path: Path) -> None:
    file = tmp_path / "recorded.json"
    known = quick.to_record(ratios(a_round(1), {}), machine_facts(), "2026-01-31")
    file.write_text(json.dumps(known))
    assert quick.recorded_ratios(file)["rate"] == 0.5
    assert not {"host", "node", "loadAverage"} & set(known["machine"])


def test_the_recorded_ratios_are_those_that_a_run_has() -> None:
    found = {ratio.name for ratio in ratios(a_round(1), {})} - {"eager"}
    assert set(quick.recorded_ratios(quick.RECORDED)) == found


def test_without_a_record_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFailed, match="--record"):
        quick.recorded_ratios(tmp_path / "recorded.json")


async def test_an_order_that_was_put_off_counts_its_wait_and_apart_from_it_its_last_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [
        httpx.Response(503, headers={"Retry-After": "0.05"}),
        httpx.Response(503, headers={"Retry-After": "0.05"}),
        httpx.Response(201, json={"orderId": "o1"}),
    ]
    transport = httpx.MockTransport(lambda request: answers.pop(0))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        service = Service(http, _BooksOf("o1"))
        key = await service.place("wish-1")
        shipped, taken = await service.settle(Shift(0.0, 1.0, [0.2], [key]))
    assert shipped.refused == 2
    assert taken.latencies[0] < 0.05


class _BooksOf:
    """A database in which the order is ready and no webhook waits."""

    def __init__(self, key: str) -> None:
        self._key = key

    async def fetch(self, *_: object) -> list[dict[str, object]]:
        from datetime import UTC, datetime

        return [{"order_id": self._key, "at": datetime.now(UTC)}]

    async def fetchrow(self, *_: object) -> tuple[int, int]:
        return 1, 0
