"""The figures of the benchmark: percentiles, spreads over rounds, ratios within a round, and what is told of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.contenders import ENTRIES, chosen
from benchmarks.errors import BenchmarkFailed
from benchmarks.figures import Measurement, Spread, percentile, rows
from benchmarks.hotspots import Entries, by_package, merged, package_of, told, without
from benchmarks.load import drive
from benchmarks.rounds import rotated
from benchmarks.throughput import options_of


def measured(contender: str, number: int, seconds: float, *, at_once: int = 1, busy: float = 0.0) -> Measurement:
    return Measurement(
        contender=contender,
        at_once=at_once,
        round=number,
        orders=10,
        seconds=seconds,
        latencies=[seconds / 10] * 10,
        cpu={"Temporal": 0.2, "worker": 0.1},
        events=23,
        elsewhere=busy,
    )


def a_run(*measurements: Measurement) -> report.Run:
    parameters = {"rounds": max(one.round for one in measurements)}
    return report.Run(report.machine_facts(), parameters, {"API": 0.005}, measurements, rows(measurements, "plain"))


@pytest.mark.parametrize(("percent", "found"), [(50, 50), (95, 95), (99, 99), (100, 100), (0, 1)])
def test_percentile_is_a_value_that_really_was(percent: float, found: int) -> None:
    assert percentile(range(100, 0, -1), percent) == found


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_rates_are_medians_over_rounds_with_their_spread() -> None:
    (row,) = rows([measured("plain", 1, 1.0), measured("plain", 2, 2.0), measured("plain", 3, 5.0)], "plain")
    assert row.rate == Spread(median=5.0, least=2.0, most=10.0)
    assert row.orders == 30


def test_ratios_are_taken_within_a_round_and_a_load() -> None:
    """A machine that is slower in one round slows both: the ratio stays."""
    slow_and_fast = [
        measured("plain", 1, 1.0),
        measured("ours", 1, 0.5),
        measured("plain", 2, 4.0),
        measured("ours", 2, 2.0),
        measured("plain", 2, 100.0, at_once=50),
    ]
    found = {(row.contender, row.at_once): row for row in rows(slow_and_fast, "plain")}
    assert found["ours", 1].ratio == Spread(2.0, 2.0, 2.0)
    assert found["plain", 50].ratio == Spread(1.0, 1.0, 1.0)


def test_without_the_baseline_there_is_no_ratio() -> None:
    (row,) = rows([measured("ours", 1, 1.0)], "plain")
    assert row.ratio is None
    assert report.speed_cells(row)[2] == "–"


def test_latency_and_cpu_are_milliseconds_and_cpu_is_per_order() -> None:
    (row,) = rows([measured("plain", 1, 1.0)], "plain")
    assert row.latency[99].median == pytest.approx(100)
    assert row.cpu["Temporal"].median == pytest.approx(20)
    assert row.cpu_total.median == pytest.approx(30)


def test_markdown_has_a_row_per_contender_and_load() -> None:
    run = a_run(measured("plain", 1, 1.0), measured("ours", 1, 0.5), measured("ours", 1, 0.1, at_once=50))
    text = report.markdown(run, {"plain": "the usual"})
    assert "| plain | 10.0 | 1.00 | 100 | 100 | 100 | 23 |" in text
    assert "| ours | 20.0 | 2.00 | 50 | 50 | 50 | 23 |" in text
    assert "## 50 at once (10 orders a round, 1 round)" in text
    assert "- **plain**: the usual" in text


@pytest.mark.parametrize(("busy", "words"), [(0.01, "meanwhile."), (0.2, "not quiet"), (0.5, "hardly")])
def test_report_says_what_to_believe_of_a_busy_machine(busy: float, words: str) -> None:
    assert words in report.markdown(a_run(measured("plain", 1, 1.0, busy=busy)), {})


def test_report_says_how_many_answers_came_too_late() -> None:
    late = replace(measured("service", 1, 1.0), late=3)
    assert "3 orders of the service were answered 202" in report.markdown(a_run(late), {})
    assert "202" not in report.markdown(a_run(measured("service", 1, 1.0)), {})


def test_json_file_holds_everything_and_names_no_host(tmp_path: Path) -> None:
    report.write_json(a_run(measured("plain", 1, 1.0)), tmp_path / "build" / "bench.json")
    known = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert len(known["measurements"][0]["latencies"]) == 10
    assert known["machine"]["cores"] >= 1
    assert not {"node", "host", "hostname"} & set(known["machine"])


def test_every_contender_can_be_chosen_by_a_name_without_blanks() -> None:
    assert chosen([]) == [entry for entry in ENTRIES if entry.by_default]
    assert [entry.name for entry in chosen(["ours-eager-start", "plain"])] == ["ours, eager start", "plain"]
    with pytest.raises(BenchmarkFailed, match="plain-one-process"):
        chosen(["nothing"])


def test_each_round_begins_with_another_contender() -> None:
    entries = ENTRIES[:3]
    assert len({rotated(entries, number)[0].name for number in range(3)}) == 3
    assert all(sorted(rotated(entries, n), key=entries.index) == list(entries) for n in range(5))


def test_what_is_given_outweighs_quick() -> None:
    options = options_of(["--quick", "--orders", "7"])
    assert (options.rounds, options.orders, options.concurrency) == (1, 7, (1, 10))


@pytest.mark.parametrize("words", [["--orders", "0"], ["--concurrency", "1,x"], ["--rounds", "-1"]])
def test_numbers_that_make_no_sense_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        options_of(words)


async def test_clients_place_every_order_once() -> None:
    seen: list[str] = []

    async def place(order_id: str) -> str:
        seen.append(order_id)
        return order_id

    shift = await drive(place, [str(number) for number in range(20)], at_once=7)
    assert sorted(seen) == sorted(shift.keys) == sorted(str(number) for number in range(20))
    assert len(shift.latencies) == 20


async def test_failed_order_ends_the_shift() -> None:
    async def place(order_id: str) -> str:
        raise BenchmarkFailed(order_id)

    with pytest.raises(ExceptionGroup):
        await drive(place, ["a", "b"], at_once=2)


OURS = ("/somewhere/activities/payments.py", 3, "authorize")
DRIVER = ("/venv/lib/python3.11/site-packages/asyncpg/pool.py", 9, "fetch")
BUILT_IN = ("~", 0, "<built-in method len>")


def a_profile() -> Entries:
    return {
        OURS: (1, 1, 0.5, 1.0, {}),
        DRIVER: (2, 2, 0.3, 0.4, {OURS: (2, 2, 0.3, 0.4)}),
        BUILT_IN: (4, 4, 0.2, 0.2, {DRIVER: (4, 4, 0.2, 0.2)}),
    }


def test_time_of_built_in_functions_counts_for_their_callers() -> None:
    found = {line.name: line.own for line in by_package(a_profile())}
    assert found["activities"] == pytest.approx(0.5)
    assert found["asyncpg"] == pytest.approx(0.5)


def test_warm_up_is_taken_off_a_profile() -> None:
    twice = merged([a_profile(), a_profile()])
    assert twice[OURS][2] == pytest.approx(1.0)
    assert without(twice, a_profile()) == a_profile()
    assert without(twice, twice) == {}


def test_profile_is_told_per_order_in_milliseconds() -> None:
    text = told("worker", a_profile(), orders=10)
    assert "100.0 ms of CPU per order" in text
    assert "asyncpg: pool.py:9 fetch" in text


def test_standard_library_is_told_apart_from_packages() -> None:
    assert package_of("/usr/lib/python3.11/asyncio/events.py") == "python"
    assert package_of("/venv/lib/python3.11/site-packages/six.py") == "six"
    assert package_of("worker.py") == "worker.py"
