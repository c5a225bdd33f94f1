"""Statistics of times, held to known values and to slow, obvious versions."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import FACTOR, examples
from tracekit.bench import file, plots, statistics
from tracekit.bench.about import about

TIMES = st.lists(st.floats(1, 1e9), min_size=6, max_size=60)


def test_a_summary_of_known_numbers() -> None:
    found = statistics.summarize(range(1, 101))
    assert found is not None
    assert (found.count, found.mean, found.median) == (100, 50.5, 50.5)
    assert found.std == pytest.approx(29.0115, abs=1e-4)
    assert (found.p95, found.p99) == (pytest.approx(95.05), pytest.approx(99.01))
    # Conover, table A3: n = 100, ranks 40 and 61
    assert (found.low, found.high) == (40, 61)


def test_what_few_samples_cannot_say_is_not_said() -> None:
    assert statistics.summarize([]) is None
    found = statistics.summarize([3.0])
    assert found is not None
    assert found.median == 3
    assert (found.std, found.p95, found.p99, found.low) == (None, None, None, None)


@given(TIMES)
def test_the_interval_of_the_median_has_its_confidence_and_no_wider_one_is_needed(
    values: list[float],
) -> None:
    low, high = statistics.median_interval(values)
    assert low is not None
    assert high is not None
    assert low <= np.median(values) <= high
    count = len(values)
    pmf = [math.comb(count, k) / 2**count for k in range(count + 1)]
    ranks = [r for r in range(1, count // 2 + 1) if sum(pmf[:r]) <= 0.025]
    ordered = sorted(values)
    assert (low, high) == (ordered[ranks[-1] - 1], ordered[count - ranks[-1]])


def test_many_values_have_an_interval_too() -> None:
    values = np.arange(5001.0)
    low, high = statistics.median_interval(values)
    assert low is not None
    assert high is not None
    assert low == pytest.approx(2500 - 69.3, abs=2)
    assert high == pytest.approx(2500 + 69.3, abs=2)


def test_a_run_is_warm_when_it_gets_no_faster() -> None:
    assert not statistics.stable([9, 5, 4])
    assert not statistics.stable([100, 60, 40, 30, 25, 22])
    assert statistics.stable([100, 60, 40, 30.2, 30.1, 30, 30.3, 29.9, 30])


def test_spread_and_drift_are_shares_of_the_median() -> None:
    assert statistics.spread([10, 10, 10]) is None
    assert statistics.spread([8, 9, 10, 11, 12]) == pytest.approx(0.2)
    assert statistics.drift([10.0] * 15) is None
    assert statistics.drift([10.0] * 8 + [12.0] * 8) == pytest.approx(2 / 11)


@examples(25)
@given(st.integers(0, 50))
def test_the_same_list_is_no_change_and_a_fifth_more_is_slower(seed: int) -> None:
    values = np.random.default_rng(seed).lognormal(3, 0.05, 60)
    same = statistics.compare(values, values)
    assert same is not None
    assert same.verdict == "no change"
    more = statistics.compare(values, 1.2 * values)
    assert more is not None
    assert more.verdict == "slower"
    assert more.low <= more.change <= more.high
    assert more.change == pytest.approx(0.2)
    less = statistics.compare(1.2 * values, values)
    assert less is not None
    assert less.verdict == "faster"


@pytest.mark.parametrize("count", [20, 30, 100])
@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_of_independent_runs_a_fifth_is_caught_and_nothing_is_flagged(
    count: int, noise: float
) -> None:
    random = np.random.default_rng(count)
    caught, flagged, runs = 0, 0, max(1, round(50 * FACTOR))
    for _ in range(runs):
        one, two = random.lognormal(16, noise, (2, count))
        same, slower = statistics.compare(one, two), statistics.compare(one, 1.2 * two)
        assert same is not None
        assert slower is not None
        flagged += same.verdict != "no change"
        caught += slower.verdict == "slower"
    assert (flagged, caught) == (0, runs)


def test_times_multiplied_are_a_change_however_noisy_the_run_was() -> None:
    random = np.random.default_rng(0)
    values = random.lognormal(16, 1.0, 30)
    busy = (0.9, 0.9)
    more, same = (statistics.compare(values, f * values, waited=busy) for f in (1.2, 1.0))
    assert more is not None
    assert same is not None
    assert (more.verdict, same.verdict) == ("slower", "no change")
    other = statistics.compare(values, 1.2 * random.lognormal(16, 1.0, 30), waited=busy)
    assert other is not None
    assert other.verdict == "no change"
    assert other.low >= -1


def test_a_change_below_the_floor_is_none_however_sure() -> None:
    values = np.linspace(1000, 1001, 50)
    found = statistics.compare(values, values * 1.005)
    assert found is not None
    assert found.low > 0
    assert found.verdict == "no change"


def test_too_few_samples_are_not_compared() -> None:
    assert statistics.compare([1, 2, 3, 4], [1, 2, 3, 4, 5]) is None


def test_the_page_of_a_benchmark_says_first_what_a_request_takes_and_whether_to_quote_it() -> None:
    content = file.load(Path(__file__).parents[1] / "golden" / "bench" / "run-1.json")
    found = about(content)
    assert found.headline == (
        "A request takes 845 µs, decode is 47% of it; TTFT 431 µs, TPOT 53.2 µs (medians)."
    )
    assert found.verdict is not None
    assert (found.verdict.word, found.verdict.level) == ("Quote with care", "warn")
    assert {t.label: t.value for t in found.tiles}["Decode"] == "18,800"
    chart = plots.charts(content)[0]
    (row,) = content["configurations"]
    assert len(chart.data[0]["x"]) == len(row["samples"])  # TTFT: a dot a request
    encoder = [{"load": s["load"], "encode": s["encode"]} for s in row["samples"]]
    alone = about({**content, "configurations": [{**row, "samples": encoder}]})
    assert re.fullmatch(
        r"A request takes [\d.]+ µs, encode is \d+% of it \(medians\)\.", alone.headline
    )
