"""A profiled run of a small model, end to end: the trace, its metadata, its markers."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import shared
from tests.integration import small_model
from tracekit.capture import metadata, run
from tracekit.capture import plan as planning
from tracekit.capture.profiling import Profiling, patient
from tracekit.capture.run import Captured, capture
from tracekit.capture.summary import summary
from tracekit.errors import TracekitError
from tracekit.models import entry as model_entry
from tracekit.taxonomy import Stage
from tracekit.trace import kineto
from tracekit.trace.trace import Cat, Trace


def small_plan(**given: Any) -> planning.Plan:
    given = {"size": "tiny", "device": "cpu", "samples": 2, "warmup": 1, **given}
    return planning.plan("small", model=given.pop("model", small_model.model()), **given)


def take(
    folder: Path, plan: planning.Plan | None = None, profiling: Profiling | None = None
) -> Captured:
    return capture(
        plan or small_plan(max_new_tokens=5),
        folder / "t.pt.trace.json.gz",
        profiling=profiling,
        samples=[small_model.recording(folder / "data", n) for n in range(2)],
    )


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "with stacks"])
def captured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Captured:
    stacks = request.param
    profiling = Profiling(record_shapes=stacks, with_stack=stacks, profile_memory=stacks)
    return take(tmp_path_factory.mktemp("capture"), profiling=profiling)


def markers(trace: Trace) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    marks = trace.of(Cat.ANNOTATION)
    for row in range(len(marks)):
        name = marks.text(row)
        if name.startswith("tracekit::"):
            found.setdefault(name, []).append((int(marks.ts[row]), int(marks.end[row])))
    return found


def test_every_stage_of_every_sample_is_marked(captured: Captured) -> None:
    found = markers(kineto.load(captured.path))
    for stage in Stage:
        assert len(found[stage.marker]) == 2
    assert set(found) - {s.marker for s in Stage} == {
        *(f"tracekit::sample#{n}" for n in range(2)),
        *(f"tracekit::decode_step#{n}" for n in range(1, 5)),
    }


def test_stages_follow_one_another_inside_their_sample(captured: Captured) -> None:
    found = markers(kineto.load(captured.path))
    for number in range(2):
        start, end = found[f"tracekit::sample#{number}"][0]
        spans = [found[stage.marker][number] for stage in Stage]
        assert start <= spans[0][0]
        assert spans[-1][1] <= end
        assert all(one[1] <= two[0] for one, two in itertools.pairwise(spans))
        decode = spans[-1]
        for step in range(1, 5):
            begin, finish = found[f"tracekit::decode_step#{step}"][number]
            assert decode[0] <= begin <= finish <= decode[1]


def test_markers_are_on_one_row(captured: Captured) -> None:
    marks = kineto.load(captured.path).of(Cat.ANNOTATION)
    ours = marks.where(marks.named(r"^tracekit::"))
    assert len(set(zip(ours.pid.tolist(), ours.tid.tolist(), strict=True))) == 1


def test_the_metadata_says_what_ran(captured: Captured) -> None:
    facts = kineto.load(captured.path).source.meta["tracekit"]
    assert facts == json.loads(json.dumps(captured.metadata))
    assert facts["schema"] == "tracekit-capture/1"
    assert facts["stages"] == [stage.value for stage in Stage]
    assert facts["absent_stages"] == []
    assert facts["tokens"] == {
        "prompt": 6, "sensor": 4, "tags": 0, "prefill": 10,
        "prefill_each": [10, 10], "generated": [5, 5],
    }  # fmt: skip
    assert facts["dtype"] == "float32"
    assert facts["device"]["type"] == "cpu"
    assert facts["device"]["name"]
    assert facts["versions"]["torch"]
    assert facts["random_weights"] is True
    assert facts["schedule"] == {"samples": 2, "warmup": 1, "max_new_tokens": 5}
    assert facts["data"]["synthetic"] is True
    assert facts["data"]["samples"] == ["sample-0", "sample-1"]
    assert len(facts["text"]) == 2
    assert all(len(row[0].split()) == 5 for row in facts["text"])
    for kind in ("unprofiled", "profiled"):
        for sample in facts[kind]["samples"]:
            assert all(sample[stage.value] > 0 for stage in Stage)
            assert len(sample["steps"]) == 4
            assert sum(sample["steps"]) <= sample["decode"]
    assert facts["interrupted"] is False


def test_the_clock_of_a_request_lies_within_its_marker(captured: Captured) -> None:
    found = markers(kineto.load(captured.path))
    for number, one in enumerate(captured.profiled):
        start, end = found[f"tracekit::sample#{number}"][0]
        assert 0 < one.wall <= end - start


def test_nothing_of_the_machine_leaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip
    import platform

    home = tmp_path / "home" / "erika.mustermann"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LOGNAME", "erika.mustermann")
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret")
    monkeypatch.setattr("sys.argv", ["tracekit", "capture", f"--data={home}/walk.npy", "-o", "x"])
    # frames of code under the home directory carry its path
    source = home / "mine.py"
    source.write_text("def helper(values):\n    return values * 2\n")
    scope: dict[str, Any] = {}
    exec(compile(source.read_text(), str(source), "exec"), scope)

    class Homely(small_model.Small):
        def encode(self, inputs: Any) -> Any:
            return super().encode(scope["helper"](inputs))

    taken = take(
        home,
        small_plan(model=small_model.model(Homely), data=f"{home}/walk.npy"),
        Profiling(with_stack=True),
    )
    text = gzip.decompress(taken.path.read_bytes()).decode()
    assert "mine.py(1): helper" in text
    assert taken.metadata["command"] == "tracekit capture --data=~/walk.npy -o x"
    for secret in (str(home), "erika", "hf_secret", '"host_name"', f'"{platform.node()}"'):
        assert secret not in text


def test_the_same_seed_gives_the_same_text_with_and_without_the_profiler(tmp_path: Path) -> None:
    taken = take(tmp_path)
    assert [r.ids for r in taken.unprofiled] == [r.ids for r in taken.profiled]


def test_the_summary_adds_up_to_the_request(captured: Captured) -> None:
    grid = summary(captured)
    rows = {row[0]: row for row in grid.rows}
    assert grid.total is not None
    for column in (1, 2):
        parts = sum(rows[stage.value][column] for stage in Stage)
        assert parts == pytest.approx(grid.total[column], abs=1)
    assert rows["prefill"][3] == pytest.approx(rows["prefill"][2] / rows["prefill"][1])


def test_a_model_without_decoder_has_its_absent_stages_said(tmp_path: Path) -> None:
    class Encoder:
        def __init__(self, options: model_entry.BuildOptions) -> None:
            inner = small_model.Small(options)
            self.facts, self.inner = inner.facts, inner
            self.load, self.preprocess, self.encode = inner.load, inner.preprocess, inner.encode

    entry = small_model.model(Encoder, stages=(Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE))
    taken = take(tmp_path, small_plan(model=entry))
    assert taken.metadata["absent_stages"] == ["prefill", "decode"]
    assert taken.metadata["tokens"]["prefill"] is None
    labels = [row[0] for row in summary(taken).rows]
    assert "decode (the model has none)" in labels
    assert "TPOT" not in labels


class Impatient(small_model.Small):
    """Presses Ctrl-C during the n-th request."""

    at = 0
    seen = 0

    def prefill(self, inputs: Any, tokens: Any) -> Any:
        type(self).seen += 1
        if type(self).seen == self.at:
            raise KeyboardInterrupt
        return super().prefill(inputs, tokens)


def impatient(at: int) -> Callable[[model_entry.BuildOptions], Any]:
    return type("Impatient", (Impatient,), {"at": at, "seen": 0})


def test_an_interrupted_run_keeps_its_complete_samples(tmp_path: Path) -> None:
    # 1 warm-up, 2 unprofiled, 1 warm-up of the profiler, then the second profiled sample
    taken = take(tmp_path, small_plan(model=small_model.model(impatient(6)), max_new_tokens=3))
    assert taken.interrupted
    assert taken.metadata["interrupted"] is True
    assert taken.metadata["tokens"]["generated"] == [3]
    found = markers(kineto.load(taken.path))
    assert set(found) == {
        "tracekit::sample#0", *(s.marker for s in Stage),
        "tracekit::decode_step#1", "tracekit::decode_step#2",
    }  # fmt: skip
    assert all(len(spans) == 1 for spans in found.values())


def test_progress_is_seen_while_samples_are_profiled(tmp_path: Path) -> None:
    # the profiler's chatter is held back at its start and stop only
    before = os.fstat(2)
    seen: dict[str, bool] = {}

    def progress(phase: str, _done: int, _total: int | None) -> None:
        seen[phase] = os.path.samestat(os.fstat(2), before)

    capture(
        small_plan(), tmp_path / "t.json", progress=progress,
        samples=[small_model.recording(tmp_path / "data")],
    )  # fmt: skip
    assert seen == dict.fromkeys(
        ("loading weights", "warm-up", "unprofiled", "profiled", "writing"), True
    )


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C raises, also where the tests run in the background, whose shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_a_ctrl_c_while_writing_loses_nothing_and_a_second_one_is_heard() -> None:
    with patient():
        signal.raise_signal(signal.SIGINT)
        survived = True
    assert survived
    with pytest.raises(KeyboardInterrupt), patient():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_interrupted_too_early_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TracekitError, match="interrupted"):
        take(tmp_path, small_plan(model=small_model.model(impatient(5))))
    assert not list(tmp_path.glob("*.json*"))
    assert not list(tmp_path.glob(".*"))


def test_a_model_too_large_for_the_memory_is_one_clear_error(tmp_path: Path) -> None:
    def greedy(_options: model_entry.BuildOptions) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    with pytest.raises(TracekitError, match="out of memory"):
        take(tmp_path, small_plan(model=small_model.model(greedy)))


def test_a_bug_in_a_model_keeps_its_own_fault(tmp_path: Path) -> None:
    def broken(_options: model_entry.BuildOptions) -> Any:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        take(tmp_path, small_plan(model=small_model.model(broken)))


def test_an_unwritable_output_is_said_before_the_model_is_built(tmp_path: Path) -> None:
    def never(_options: model_entry.BuildOptions) -> Any:
        raise AssertionError("built")

    (tmp_path / "file").write_text("")
    with pytest.raises(TracekitError, match="cannot be written"):
        capture(
            small_plan(model=small_model.model(never)),
            tmp_path / "file" / "t.json.gz",
            samples=[small_model.recording(tmp_path / "data")],
        )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": "huge"}, "no such size"),
        ({"device": "warp"}, "no such kind of device"),
        ({"dtype": "int3"}, "no such dtype"),
        ({"extra": {"wings": "2"}}, "takes no such option"),
        ({"samples": 0}, "at least 1"),
        ({"max_new_tokens": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_run_is_said_at_once(given: dict[str, Any], said: str) -> None:
    with pytest.raises(TracekitError, match=said):
        small_plan(**given)


def test_a_gpu_that_is_absent_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(TracekitError, match=r"--device cuda: .*(no GPU|without CUDA)"):
        small_plan(device="cuda")


def test_options_of_the_model_become_values() -> None:
    extra = small_plan(extra={"gain": "2.5"}).options.extra
    assert extra == {"gain": 2.5}
    assert [planning.value(t) for t in ("true", "7", "x1")] == [True, 7, "x1"]


@pytest.mark.parametrize(("free", "size"), [(10**6, "full"), (1000, "tiny"), (None, "tiny")])
def test_the_size_is_full_where_it_fits_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, free: int | None, size: str
) -> None:
    monkeypatch.setattr(planning, "free_bytes", lambda _device: free)
    plan = small_plan(size=None)
    assert plan.options.size == size
    assert plan.why.startswith(f"size {size}, because")


def test_data_with_fewer_samples_starts_again(tmp_path: Path) -> None:
    found = [small_model.recording(tmp_path, n) for n in range(2)]
    ids = [s.id for s in planning.repeat(found, small_plan(samples=5))]
    assert ids == ["sample-0", "sample-1", "sample-0", "sample-1", "sample-0"]
    with pytest.raises(TracekitError, match="holds no samples"):
        planning.repeat([], small_plan())


def test_the_default_name_says_what_ran() -> None:
    plan = replace(small_plan(), name="hf:org/model")
    path = run.default_path(plan)
    assert re.fullmatch(
        r"traces/hf-org-model-tiny-float32-cpu-\d{8}-\d{6}\.pt\.trace\.json\.gz", path.as_posix()
    )


def test_paths_lose_the_home_directory_and_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/erika")
    monkeypatch.setenv("LOGNAME", "erika")
    here = os.getcwd()
    assert metadata.tidy("/home/erika/x.npy") == "~/x.npy"
    assert metadata.tidy("/home/erikas/x.npy") == "/home/erikas/x.npy"
    assert metadata.tidy(f"--data={here}/a/b") == "--data=a/b"
    assert metadata.tidy("/scratch/erika/x") == "/scratch/user/x"
    assert metadata.tidy("walk 3/4 of the way, erika") == "walk 3/4 of the way, erika"


@pytest.mark.parametrize("captured", [True], ids=["with stacks"], indirect=True)  # holds the other
def test_perfetto_imports_the_trace_whole(captured: Captured) -> None:
    check = shared("tools", "perfetto-check")
    if shutil.which("node") is None:
        pytest.skip("no node to run Perfetto's engine with")
    done = subprocess.run(
        [check, "--engine", "node", "--find", "tracekit::*", captured.path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 2:
        pytest.skip(f"perfetto-check could not run: {done.stderr[:200]}")
    assert json.loads(done.stdout)["problems"] == []


# ---------------------------------------------------------------- the data and the room


def test_what_was_mended_in_the_data_is_said_in_the_trace(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "walk.csv"
    rows = [",".join(f"{v:.4f}" for v in row) for row in rng.normal(size=(300, 6))]
    path.write_text("\n".join([*rows[:150], "1,2,oops,4,5,6", *rows[150:]]))
    plan = small_plan(
        data=str(path), data_options={"rate_hz": 50.0, "on_error": "skip"}, max_new_tokens=2
    )
    found = capture(plan, tmp_path / "t.json.gz")
    repairs = found.metadata["data"]["repairs"]
    (repair,) = [one for one in repairs if "walk.csv:151" in one["what"]]
    assert repair["samples"] == found.metadata["data"]["samples"][:1]
    assert str(tmp_path) not in json.dumps(found.metadata["data"]["repairs"])


def test_weights_that_cannot_fit_are_refused_before_they_are_made() -> None:
    entry = small_model.model(
        sizes={"full": None, "tiny": None}, weight_bytes=lambda _size, _dtype: 1 << 60
    )
    plan = planning.plan("small", model=entry, size="full", device="cpu", dtype="float32")
    with pytest.raises(TracekitError) as fault:
        planning.build(plan)
    assert "the weights need 1,073,741,824 GiB" in fault.value.what
    assert fault.value.hint == "try --dtype bfloat16 or --size tiny"
