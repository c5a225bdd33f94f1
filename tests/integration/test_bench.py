"""Benchmarks of the small model, end to end: times, sweeps, memory that runs out, files, pages."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from tests.integration import small_model
from tracekit.bench import against_profile, file, plots, runner, tables, timing
from tracekit.bench.about import about
from tracekit.bench.runner import Wanted
from tracekit.capture import plan as planning
from tracekit.errors import TracekitError
from tracekit.models import entry as model_entry
from tracekit.report import benchmark
from tracekit.taxonomy import Stage


def wanted(folder: Path, model: model_entry.Model | None = None, **given: Any) -> Wanted:
    plan = {"size": "tiny", "device": "cpu", "samples": 6, "warmup": 1, "max_new_tokens": 4}
    samples = [small_model.recording(folder / "data", n) for n in range(2)]
    return Wanted(
        name="small", model=model or small_model.model(), samples=samples,
        output=folder / "b.json", plan={**plan, **given.pop("plan", {})}, **given,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> runner.Done:
    return runner.run(wanted(tmp_path_factory.mktemp("bench")))


def test_every_stage_of_every_request_is_timed_and_they_add_up(done: runner.Done) -> None:
    row = file.load(done.files["JSON"])["configurations"][0]
    times = file.measures(row)
    assert {stage.value for stage in Stage} <= set(times)
    assert all(len(times[name]) == 6 for name in (*file.STAGES, "request", "ttft", "tpot"))
    assert len(times["itl"]) == 6 * 3
    for i in range(6):
        parts = [times[stage][i] for stage in file.STAGES]
        assert times["request"][i] == sum(parts)
        assert times["ttft"][i] == sum(parts[:4])
        assert times["tpot"][i] == parts[4] / 3
        assert times["ttft without load"][i] == sum(parts[1:4])


def test_the_file_says_where_it_ran_and_of_what(done: runner.Done) -> None:
    content = file.load(done.files["JSON"])
    where = content["environment"]
    assert where["device"]["type"] == "cpu"
    assert where["versions"]["torch"]
    row = content["configurations"][0]
    assert row["tokens"] == {"prompt": 6, "sensor": 4, "tags": 0, "prefill": 10, "generated": 4}
    assert row["warmup"]["ns"]
    assert row["memory"]["device_peak_bytes"] is None
    assert row["memory"]["host_peak_bytes"] > 10**7
    assert row["joules_per_request"] is None
    assert row["facts"]["random_weights"] is True


def test_the_tables_hold_what_the_file_holds(done: runner.Done) -> None:
    rows = {row[0]: row for row in done.grids[0].rows}
    assert {"load", "TTFT", "TPOT", "ITL", "request"} <= set(rows)
    assert rows["request"][-1] == 6
    values = {row[0]: row[1] for row in done.grids[1].rows}
    assert values["tokens in"] == "10"
    assert values["device memory"] == "not measured"
    assert values["energy a request"] == "not measured"


def test_the_page_is_whole_and_fetches_nothing(done: runner.Done, tmp_path: Path) -> None:
    path = benchmark.write(
        tmp_path / "b.html", about(done.content), done.grids, done.charts, file.DEFINITIONS
    )
    text = path.read_text()
    assert "A small model, benchmark" in text
    assert 'id="tk-overview-stages"' in text
    assert 'src="http' not in text


def test_a_sweep_is_a_row_each_in_the_order_of_its_axes(tmp_path: Path) -> None:
    axes = {"batch_size": [1, 3], "dtype": ["float32", "bfloat16"]}
    found = runner.run(wanted(tmp_path, axes=axes, plan={"samples": 5}))
    rows = found.content["configurations"]
    assert [tuple(row["axes"].values()) for row in rows] == [
        (1, "float32"), (1, "bfloat16"), (3, "float32"), (3, "bfloat16"),
    ]  # fmt: skip
    assert all(row["interleaved"] and len(row["samples"]) == 5 for row in rows)
    assert rows[2]["samples"][0]["tokens"] == [4, 4, 4]
    grid = found.grids[0]
    assert [column.label for column in grid.columns][:2] == ["batch size", "dtype"]
    assert all(len(row) == len(grid.columns) for row in grid.rows)
    keys = [chart.key for chart in plots.charts(found.content)]
    assert keys == ["batch_size-0", "batch_size-1", "stages"]  # what a sweep asks comes first


def test_an_axis_of_one_value_is_no_axis() -> None:
    plan = planning.plan("small", model=small_model.model(), size="tiny", device="cpu")
    configs = timing.sweep(plan, {"batch_size": [2], "attention": ["sdpa", "eager"]})
    assert [config.axes for config in configs] == [{"attention": "sdpa"}, {"attention": "eager"}]
    assert all(config.plan.options.batch_size == 2 for config in configs)


class Hungry(small_model.Small):
    """Has no memory for more than two rows."""

    def prefill(self, inputs: Any, tokens: Any) -> Any:
        if self.options.batch_size > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")
        return super().prefill(inputs, tokens)


def test_a_configuration_out_of_memory_is_a_row_with_that_fact(tmp_path: Path) -> None:
    found = runner.run(wanted(tmp_path, small_model.model(Hungry), axes={"batch_size": [1, 4, 2]}))
    rows = found.content["configurations"]
    assert [row["error"] for row in rows] == [None, "out of memory", None]
    assert [len(row["samples"]) for row in rows] == [6, 0, 6]
    assert not found.failed
    middle = found.grids[0].rows[1]
    assert middle[-1] == "out of memory"
    assert set(middle[1:-1]) == {None}


def test_configurations_that_do_not_fit_together_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "free_bytes", lambda _device: 1000)
    found = runner.run(wanted(tmp_path, axes={"batch_size": [1, 2]}))
    rows = found.content["configurations"]
    assert [row["interleaved"] for row in rows] == [False, False]
    assert [len(row["samples"]) for row in rows] == [6, 6]


def test_nothing_but_memory_is_swallowed(tmp_path: Path) -> None:
    class Broken(small_model.Small):
        def prefill(self, inputs: Any, tokens: Any) -> Any:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        runner.run(wanted(tmp_path, small_model.model(Broken)))
    assert gc.isenabled()
    assert not (tmp_path / "b.json").exists()


def test_ctrl_c_keeps_the_requests_that_are_complete(tmp_path: Path) -> None:
    class Impatient(small_model.Small):
        seen = 0

        def prefill(self, inputs: Any, tokens: Any) -> Any:
            Impatient.seen += 1
            if Impatient.seen == 26:  # 20 warm-up requests at most, 6 timed
                raise KeyboardInterrupt
            return super().prefill(inputs, tokens)

    found = runner.run(wanted(tmp_path, small_model.model(Impatient), plan={"samples": 50}))
    row = found.content["configurations"][0]
    assert 0 < len(row["samples"]) < 50
    assert row["error"].startswith("interrupted after")
    assert "interrupted" in found.grids[0].note


def test_the_encoder_alone_has_its_own_figures(tmp_path: Path) -> None:
    found = runner.run(wanted(tmp_path, stage="encode"))
    alone = file.load(found.files["JSON"])["alone"]
    assert len(alone["single_ns"]) >= 10
    assert len(alone["streak_ns"]) == 20
    assert all(ns > 0 for ns in (*alone["single_ns"], *alone["streak_ns"]))
    assert [row[0] for row in found.grids[0].rows] == ["one call", "back to back"]
    with pytest.raises(TracekitError, match="cannot be timed alone"):
        runner.run(wanted(tmp_path, stage="decode"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("onellm", None), ("onellm", None)),
        ((None, "limu_bert"), ("limu_bert", "encode")),
        (("limu_bert", "limu_bert"), ("limu_bert", "encode")),
        (("llasa", "encoder"), ("llasa", "encode")),
        (("llasa", "prefill"), ("llasa", "prefill")),
    ],
)
def test_model_only_names_a_stage_or_an_encoder(
    given: tuple[str | None, str | None], expected: tuple[str, str | None]
) -> None:
    assert runner.subject(*given) == expected


def test_trace_puts_profiled_beside_unprofiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = runner.run(wanted(tmp_path, trace=True))
    stages = found.content["profiled"]["stages"]
    assert [one["stage"] for one in stages] == [stage.value for stage in Stage]
    assert all(one["unprofiled_ns"] and one["profiled_ns"] for one in stages)
    # no GPU, and no datasheet of this CPU: not measured, not 0
    assert {one["gpu_busy_ns"] for one in stages} == {None}
    assert found.files["trace"].exists()
    assert against_profile.grid(found.content["profiled"]).rows[0][4] is None


def test_requests_are_of_one_length_where_the_model_can_pass_its_end() -> None:
    entry = small_model.model(takes={"ignore_eos": "go on after the end token"})
    plan = planning.plan("small", model=entry, size="tiny", device="cpu")
    assert timing.with_fixed_length(plan).options.extra == {"ignore_eos": True}
    kept = planning.plan(
        "small", model=entry, size="tiny", device="cpu", extra={"ignore_eos": "false"}
    )
    assert timing.with_fixed_length(kept).options.extra == {"ignore_eos": False}


# ---------------------------------------------------------------- MBU, notes


def row_of(**changes: Any) -> dict[str, Any]:
    sample = {"load": 0, "preprocess": 0, "encode": 0, "prefill": 10, "decode": 63 * 10_000_000,
              "steps": [10_000_000] * 63, "tokens": [64], "prefill_tokens": 100}  # fmt: skip
    llm = {"weight_parameters": 6_607_343_616, "bytes_per_value": 2, "layers": 32, "kv_heads": 32,
           "head_dim": 128, "heads": 32, "hidden": 4096, "vocab": 32000}  # fmt: skip
    options = {"batch_size": 1, "dtype": "bfloat16"}
    row = {"samples": [sample] * 5, "facts": {"dims": {"llm": llm}}, "options": options,
           "tokens": {"prefill": 100, "generated": 64}}  # fmt: skip
    return {**row, **changes}


def test_mbu_is_bytes_over_time_over_the_datasheets_bandwidth() -> None:
    found = tables.bandwidth(row_of(), "NVIDIA A100-SXM4-80GB")
    assert found is not None
    cache = 2 * 32 * 32 * 128 * 2 * (100 + (1 + 63) / 2)  # step s reads the prompt and s tokens
    assert found.bytes == 6_607_343_616 * 2 + cache
    assert found.used == pytest.approx(found.bytes / 0.01 / found.peak)
    assert found.weights_only == pytest.approx(13_214_687_232 / 0.01 / found.peak)
    assert 0.6 < found.used < 0.7


def test_mbu_is_not_guessed_where_something_is_unknown() -> None:
    assert tables.bandwidth(row_of(), "A device of nobody's") is None
    assert tables.bandwidth(row_of(facts={}), "NVIDIA A100-SXM4-80GB") is None


def test_a_noisy_run_a_cold_one_and_a_throttled_one_are_said_to_be() -> None:
    times = [100, 100, 150, 160] * 5
    samples = [{"load": t, "tokens": [1]} for t in times]
    said = tables.notes({
        "samples": samples,
        "warmup": {"ns": [9, 5], "stable": False},
        "gpu": [{"throttled": ["power cap"]}, {"throttled": []}],
    })  # fmt: skip
    assert any(text.startswith("noisy") for text in said)
    assert "still changing after 2 warm-up requests" in said
    assert "the GPU was slowed down: power cap" in said
    assert tables.notes(row_of()) == []
