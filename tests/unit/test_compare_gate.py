"""`compare` as a gate, and of several traces a side."""

import json
from pathlib import Path

import pytest

from tests import requests
from tests.fresh import tracekit
from tracekit.comparison import compare, gate, runs
from tracekit.comparison.runs import Run
from tracekit.errors import TracekitError
from tracekit.results import engine

ONLY = ["stages", "tokens", "devices", "kernels"]
STEADY = (800.0, 806.0, 803.0, 799.0, 804.0)


def side(folder: Path, *traces: tuple[float, ...], world: int = 0) -> Run:
    many = [
        engine.answers(
            requests.write(
                folder / f"t{i}.json", decode, world=(i, world) if world else None
            ), ONLY,
        )
        for i, decode in enumerate(traces)
    ]  # fmt: skip
    return runs.of_several(str(folder), many)


def judged(one: Run, two: Run, allowed: float = 0.05) -> gate.Gate:
    return gate.gate(one, two, compare.compare(one, two), allowed)


def test_what_is_slower_beyond_noise_and_by_more_than_allowed_fails(tmp_path: Path) -> None:
    one = side(tmp_path / "a", STEADY)
    two = side(tmp_path / "b", tuple(us * 1.1 for us in STEADY))
    found = judged(one, two)
    # TTFT has no decode in it; a token after the first is the decode stage
    assert {line.what for line in found.slower} == {"TPOT", "one decode"}
    assert all(line.change == pytest.approx(0.1) for line in found.slower)
    assert all(line.low > 0.05 for line in found.slower)
    assert "TPOT +10.0%" in gate.said(found)
    assert not judged(one, two, allowed=0.11).slower
    assert not judged(two, one).slower  # faster
    assert {line.verdict for line in judged(one, one).lines} == {"no change"}


def test_noise_that_hides_what_is_asked_for_is_said(tmp_path: Path) -> None:
    one = side(tmp_path / "a", (700.0, 900.0, 800.0))
    two = side(tmp_path / "b", (880.0, 760.0, 1000.0))
    found = judged(one, two)
    assert found.slower == ()
    assert {line.what for line in found.blind} == {"TPOT", "one decode"}
    assert "the noise alone would hide" in gate.said(found)


def test_one_request_a_side_or_other_work_is_no_gate(tmp_path: Path) -> None:
    one, two = side(tmp_path / "a", (800.0,)), side(tmp_path / "b", (1600.0,))
    with pytest.raises(TracekitError, match="one a side"):
        judged(one, two)
    other = engine.answers(requests.write(tmp_path / "c.json", STEADY, model="other"), ONLY)
    with pytest.raises(TracekitError, match="not the same work"):
        judged(side(tmp_path / "d", STEADY), runs.of(other))


def test_traces_of_a_side_are_the_repeats_and_its_sums_add_up(tmp_path: Path) -> None:
    before = [tuple(us + 4 * i for us in STEADY) for i in range(3)]
    after = [tuple(us * 1.1 for us in trace) for trace in before]
    one, two = side(tmp_path / "a", *before), side(tmp_path / "b", *after)
    found = judged(one, two)
    assert found.repeats == "traces"
    assert {(line.before_count, line.after_count) for line in found.lines} == {(3, 3)}
    assert {line.what for line in found.slower} == {"TPOT", "one decode"}
    result = compare.compare(one, two)
    decode = next(stage for stage in result.stages if stage.stage == "decode")
    assert decode.before_count == 15
    assert decode.before_ns == pytest.approx(sum(map(sum, before)) * 1000)
    # of repeats nothing says whose device is whose; other totals where there are other numbers
    assert {split.by for split in result.splits}.isdisjoint({"device"})
    assert result.same_work
    fewer = compare.compare(one, runs.of_several("b", [
        engine.answers(tmp_path / "b" / f"t{i}.json", ONLY) for i in range(2)
    ]))  # fmt: skip
    assert "number of traces" in {d.what for d in fewer.differences}
    assert not fewer.same_work
    assert all(rate.judged for rate in fewer.rates)


def test_ranks_of_one_job_are_no_repeats_of_each_other(tmp_path: Path) -> None:
    later = tuple(us + 8 for us in STEADY)
    one = side(tmp_path / "a", STEADY, later, world=2)
    two = side(tmp_path / "b", tuple(us * 1.1 for us in STEADY), later, world=2)
    assert one.job
    found = judged(one, two)
    assert {line.before_count for line in found.lines} == {5}
    assert next(line.change for line in found.lines if line.what == "one decode") == (
        pytest.approx(0.05, abs=0.001)
    )
    devices = {s.of for s in compare.compare(one, two).splits if s.by == "device"}
    assert devices == {"rank 0, device 0", "rank 1, device 0"}


def test_traces_of_different_work_are_no_side(tmp_path: Path) -> None:
    many = [
        engine.answers(requests.write(tmp_path / f"{m}.json", STEADY, model=m), ONLY)
        for m in ("one", "two")
    ]
    with pytest.raises(TracekitError, match="model: one, two"):
        runs.of_several("folder", many)


def test_the_command_exits_with_three_and_says_which(tmp_path: Path) -> None:
    for at, factor in (("a", 1.0), ("b", 1.1)):
        for i in range(2):
            requests.write(tmp_path / at / f"t{i}.json", [us * factor + i for us in STEADY])
    words = ("compare", "a", "b/t*.json", "--only", ",".join(ONLY), "--json")
    failed = tracekit(*words, "--fail-slower-than", "5%", cwd=tmp_path)
    assert failed.returncode == 3, failed.stderr
    document = json.loads(failed.stdout)
    assert {line["what"] for line in document["gate"]["slower"]} == {"TPOT", "one decode"}
    refused = tracekit(*words, "--fail-slower-than", "5", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "did you mean 5%?" in refused.stderr
    lost = tracekit("compare", "a", "b", "-o", "b/t1.json", cwd=tmp_path)
    assert lost.returncode == 1
    assert "which would be lost" in lost.stderr
