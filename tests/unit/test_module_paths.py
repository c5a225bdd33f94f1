"""Modules by the names that torch wrote on the work of a replayed CUDA graph."""

import json
from pathlib import Path

import numpy as np
import pytest
from tracekit.analyses.modules import analysis as modules
from tracekit.analyses.modules import roles
from typer.testing import CliRunner

from tests.drawing import draw
from tracekit.answers.modules import Modules
from tracekit.attribution import links
from tracekit.attribution.kernels import module_paths, module_stacks
from tracekit.cli.app import app
from tracekit.errors import MissingEventsError
from tracekit.results import catalog, engine
from tracekit.trace import cache, kineto
from tracekit.trace.trace import Table, Trace

Q, UP, NORM = "model.layers.{}.self_attn.q_proj", "model.layers.{}.mlp.up_proj", "model.norm"


def named(trace: Trace, names: dict[str, str]) -> Trace:
    """The trace with these names of modules on the kernels of these letters."""
    gpu = links.work(trace)
    rows = [row for row in range(len(gpu)) if gpu.text(row) in names]
    texts = tuple(dict.fromkeys(names.values()))
    codes = np.array([texts.index(names[gpu.text(row)]) for row in rows], np.int32)
    trace.tables["kernel_modules"] = Table(gpu.id[rows], {"path": codes}, texts)
    return trace


def replay() -> Trace:
    trace = draw(
        """
        mark      dddddddddddddddd
        host      g...............
        stream 7  .AABBBCCDDDDEF..    two layers, the norm, and one kernel without a name
        """,
        {"d": "tracekit::decode", "g": "cudaGraphLaunch"}, launched_by=dict.fromkeys("ABCDEF", "g"),
    )  # fmt: skip
    return named(trace, {"A": Q.format(0), "B": UP.format(0), "C": Q.format(1), "D": UP.format(1),
                         "E": NORM})  # fmt: skip


def test_a_replay_is_split_by_the_names_and_each_module_holds_its_children() -> None:
    result = modules.modules(replay())
    got = {r.module: (r.gpu_ns, r.gpu_self_ns, r.work_count) for r in result.rows}
    assert got == {
        "model": (12_000, 0, 5), "model.layers": (11_000, 0, 4),
        "model.layers.0": (5_000, 0, 2), "model.layers.1": (6_000, 0, 2),
        "model.layers.0.self_attn": (2_000, 0, 1), Q.format(0): (2_000, 2_000, 1),
        "model.layers.0.mlp": (3_000, 0, 1), UP.format(0): (3_000, 3_000, 1),
        "model.layers.1.self_attn": (2_000, 0, 1), Q.format(1): (2_000, 2_000, 1),
        "model.layers.1.mlp": (4_000, 0, 1), UP.format(1): (4_000, 4_000, 1),
        "model.norm": (1_000, 1_000, 1),
    }  # fmt: skip
    kinds = {r.module: (r.gpu_ns, r.gpu_self_ns, r.role) for r in result.kinds}
    assert kinds["model.layers.*"] == (11_000, 0, "layer")
    assert kinds[UP.format("*")] == (7_000, 7_000, "MLP")
    assert {(r.calls, r.host_ns, r.host_self_ns) for r in result.rows} == {(None, None, None)}


def test_what_has_no_name_is_counted_and_self_times_add_up() -> None:
    result = modules.modules(replay())
    (rest,) = result.rest
    assert (rest.phase, rest.gpu_ns, rest.outside_ns) == ("decode", 13_000, 1_000)
    assert (rest.work_count, rest.outside_count) == (6, 1)
    for rows in (result.rows, result.kinds):
        assert sum(r.gpu_self_ns or 0 for r in rows) + rest.outside_ns == rest.gpu_ns
    assert result.sources == (modules.NAMED,)
    by_kind, by_module = modules.tables(result)
    assert "By module names on the kernels, written by torch; 1 of 6 pieces of GPU work is " in (
        by_kind.note
    )
    assert (modules.NOWHERE, None) in [(row[0], row[3]) for row in by_kind.rows]
    assert [row[0] for row in by_module.rows[:2]] == ["model", "model.layers"]
    both = modules.merge(result, result)
    assert [(r.work_count, r.outside_count) for r in both.rest] == [(12, 2)]
    assert {r.calls for r in both.rows} == {None}
    layers = modules.charts(result)[-1]
    assert layers.key == "layers"
    assert list(map(str, layers.data[0]["x"])) == ["0", "1"]


def test_a_frame_around_the_launch_of_the_graph_holds_its_work_and_owns_what_has_no_name() -> None:
    trace = draw(
        """
        python    MMMMMM...
        host      g.h......
        stream 7  .AAB.....    both of the graph, A with a name
        stream 8  ...H.....    launched alone: the frame says whose it is
        """,
        {"M": "nn.Module: Wrapper_0", "g": "cudaGraphLaunch"}, launched_by={"A": "g", "B": "g"},
    )  # fmt: skip
    result = modules.modules(named(trace, {"A": "layers.0.mlp", "H": "layers.0.mlp"}))
    got = {r.module: (r.calls, r.gpu_ns, r.gpu_self_ns) for r in result.rows}
    assert got == {
        "Wrapper_0": (1, 4_000, 2_000), "layers": (None, 2_000, 0), "layers.0": (None, 2_000, 0),
        "layers.0.mlp": (None, 2_000, 2_000),
    }  # fmt: skip
    assert result.sources == (modules.AROUND, modules.NAMED)
    assert sum(r.outside_ns for r in result.rest) == 0


def test_work_whose_launch_is_not_in_the_trace_has_its_name_still() -> None:
    code, names = module_stacks.paths(named(draw("stream 7 AA.B"), {"B": NORM}))
    assert (code.tolist(), names) == ([-1, 0], (NORM,))


def test_the_kernels_name_the_module_of_any_layer() -> None:
    kernels = catalog.analysis("kernels").run(replay()).to_json()["rows"]
    assert {row["name"]: row["module"] for row in kernels} == {
        "A": Q.format("*"), "B": UP.format("*"), "C": Q.format("*"), "D": UP.format("*"),
        "E": NORM, "F": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "around", "kind", "number", "role"),
    [
        ("norm", (), "norm", None, "normalisation"),
        ("layers.3", ("layers",), "layers.*", 3, "layer"),
        ("layers", (), "layers", None, ""),
        ("layers.3.attention_norm", ("layers", "layers.3"), "layers.*.attention_norm", 3,
         "normalisation"),
        ("layers.3.experts.1.w1", ("layers", "layers.3", "layers.3.experts", "layers.3.experts.1"),
         "layers.*.experts.*.w1", None, ""),
        ("layers.3.wq", ("layers", "layers.3"), "layers.*.wq", 3, ""),
        ("h.0.mlp.gate + h.0.mlp.up", ("h", "h.0", "h.0.mlp"), "h.*.mlp.gate + h.*.mlp.up", 0,
         "MLP"),
        ("norm + h.0.mlp", (), "norm + h.*.mlp", None, ""),
        ("lm_head", (), "lm_head", None, "head"),
        ("x." + "9" * 5000, ("x",), "x." + "9" * 5000, None, ""),
    ],
)  # fmt: skip
def test_a_name_says_what_is_around_it_and_what_it_is(
    name: str, around: tuple[str, ...], kind: str, number: int | None, role: str
) -> None:
    assert module_paths.of_name(name) == module_paths.Path(name, around, kind, number)
    assert roles.of_path(name) == role


def write(path: Path) -> Path:
    launch = {"ph": "X", "cat": "cuda_runtime", "name": "cudaGraphLaunch", "pid": 5, "tid": 5,
              "ts": 1, "dur": 2, "args": {"correlation": 4}}  # fmt: skip
    work = [
        {"ph": "X", "cat": "kernel", "name": f"k{at}", "pid": 0, "tid": 7, "ts": 10 + 2 * at,
         "dur": 1, "args": {"device": 0, "stream": 7, "correlation": 4, "graph node id": 9 + at,
                            **({"module_fqn": name} if name else {})}}
        for at, name in enumerate([UP.format(0), "", NORM])
    ]  # fmt: skip
    path.write_text(json.dumps({"traceEvents": [launch, *work]}))
    return path


def test_the_answer_is_that_of_the_file_from_the_cache_and_from_parquet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_PLAIN", 0)
    path, out = write(tmp_path / "t.json"), tmp_path / "t.parquet"
    tables = frozenset({"kernel_modules"})
    first, again = (kineto.load(path, tables=tables) for _ in range(2))
    ran = CliRunner().invoke(app, ["convert", str(path), str(out)])
    assert ran.exit_code == 0, ran.output
    answers = [modules.modules(trace) for trace in (first, again, kineto.load(out))]
    assert answers[0] == answers[1] == answers[2]
    assert [r.module for r in answers[0].rows if r.gpu_self_ns] == [UP.format(0), NORM]
    plain = json.loads(json.dumps(engine.to_json([engine.answers(path, ["modules"])])))
    answer = plain["traces"][0]["answers"]["modules"]
    assert answer["sources"] == [modules.NAMED]
    assert answer["rows"][0] | {"share": None} == {
        "module": "model", "kind": "model", "number": None, "role": "model", "phase": "all",
        "calls": None, "host_ns": None, "host_self_ns": None, "gpu_ns": 2_000, "gpu_self_ns": 0,
        "work_count": 2, "share": None,
    }  # fmt: skip


def test_a_replay_without_names_says_what_to_capture() -> None:
    with pytest.raises(MissingEventsError, match="enable_annotations"):
        modules.modules(draw("host g\nstream 7 A", {"g": "cudaGraphLaunch"}))


def test_ops_of_torchscript_name_the_modules_of_what_they_launch(tmp_path: Path) -> None:
    """`with_modules=True` writes the stack of calls on each op: of two layers, and the model."""
    layer = "TOP()::<forward op>.layers(Stack)::forward.{}(Block)::forward.SELF(Block)::mix."
    said = [layer.format(0), layer.format(1), "TOP()::<forward op>.", "nobody knows", None]
    events: list[dict[str, object]] = []
    for at, name in enumerate(said):
        own = {"pid": 5, "tid": 5, "dur": 4}
        events += [
            {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "ts": 10 * at, **own,
             "args": {"Module Hierarchy": name} if name else {}},
            {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 10 * at + 1,
             **own | {"dur": 2}, "args": {"correlation": at + 1}},
            {"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7, "ts": 10 * at + 5,
             "dur": 2 + at, "args": {"device": 0, "stream": 7, "correlation": at + 1}},
        ]  # fmt: skip
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"traceEvents": events}))
    result = engine.answers(path, ["modules"]).get(Modules)
    assert result is not None
    assert result.sources == (modules.SCRIPTED,)
    assert {r.module: (r.gpu_ns, r.gpu_self_ns) for r in result.rows} == {
        "TOP": (9_000, 4_000), "TOP.layers": (5_000, 0), "TOP.layers.0": (2_000, 2_000),
        "TOP.layers.1": (3_000, 3_000),
    }  # fmt: skip
    assert {r.module: r.gpu_ns for r in result.kinds}["TOP.layers.*"] == 5_000
    (rest,) = result.rest
    assert (rest.gpu_ns, rest.outside_ns) == (20_000, 11_000)
    path.write_text(json.dumps({"traceEvents": events[::3]}))
    with pytest.raises(MissingEventsError, match="names of modules on ops, and no GPU work"):
        modules.modules(kineto.load(path))
