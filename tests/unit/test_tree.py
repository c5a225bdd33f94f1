"""From stage to kernel: what is inside what adds up, and agrees with the other answers."""

import base64
import gzip
import json
from typing import Any

import numpy as np
import pytest

from tests import real
from tests.drawing import Slice, build, draw
from tracekit.answers.devices import Devices
from tracekit.answers.stages import Stages
from tracekit.answers.tree import KERNEL, STAGE, Node, Tree, Trees
from tracekit.report.html import picture
from tracekit.results.catalog import ask
from tracekit.trace.spans import detail
from tracekit.trace.trace import Cat

STEPS = """
    mark     pppppppp..dddd....
    op       .xxxxxx............
    op       ..yy...............
    host     ..a..b....c........      1 µs a column; launch a issues kernel A
    stream 7 ...AAA..BBB..CC...
"""
NAMES = {"p": "tracekit::prefill", "d": "tracekit::decode", "x": "aten::linear", "y": "aten::mm"}


def one(trace: Any) -> Tree:
    (row,) = ask(trace, Trees).rows
    return row


def paths(tree: Tree) -> dict[str, Node]:
    out: dict[str, Node] = {}
    names: list[str] = []
    for node in tree.nodes:
        names.append(f"{names[node.parent]}/{node.name}" if node.parent > 0 else node.name)
        out[names[-1]] = node
    return out


def test_kernels_stand_in_their_op_and_stage_and_idle_time_where_both_sides_were_launched() -> None:
    found = paths(one(draw(STEPS, NAMES)))
    ns = {path: (node.count, node.ns) for path, node in found.items()}
    assert ns["all"] == (3, 12_000)
    assert ns["prefill/aten::linear/aten::mm/A"] == (1, 3_000)
    assert ns["prefill/aten::linear/B"] == (1, 3_000)
    assert ns["prefill"] == (2, 8_000)  # 6 of kernels, 2 of idle time between them
    assert ns["prefill/idle"] == (1, 2_000)
    assert ns["decode"] == (1, 2_000)
    assert ns["idle, outside every stage"] == (1, 2_000)  # before C, launched by decode


def test_time_that_no_op_covers_is_a_node_of_its_own_without_a_device() -> None:
    found = paths(one(draw("\n".join(STEPS.splitlines()[:4]), NAMES)))
    assert {path: node.ns for path, node in found.items()} == {
        "all": 12_000, "prefill": 8_000, "prefill/aten::linear": 6_000,
        "prefill/aten::linear/aten::mm": 2_000, "prefill/outside ops": 2_000,
        "decode": 4_000, "decode/outside ops": 4_000,
    }  # fmt: skip


REAL = ["tl_sglang_decode", "hta_nccl_ddp_a100", "tl_mi300_nsfw", "hta_cpu_only_full"]


@pytest.mark.parametrize("name", REAL)
def test_the_tree_and_the_slices_agree_with_stages_and_devices(name: str) -> None:
    trace = real.loaded(name)
    tree, stages = one(trace), ask(trace, Stages)
    kernels = np.zeros(len(tree.nodes), np.int64)
    for at in range(len(tree.nodes) - 1, 0, -1):
        node = tree.nodes[at]
        below = [n for n in tree.nodes if n.parent == at]
        if below:
            assert node.ns >= sum(n.ns for n in below)
        kernels[at] += node.ns if node.kind == KERNEL else 0
        kernels[node.parent] += kernels[at]
    width = {n.name: at for at, n in enumerate(tree.nodes) if n.kind == STAGE and n.parent == 0}
    checked = 0
    for total in stages.stages:
        if total.family in width:
            detail_ = total.launched_detail
            own = int(kernels[width[total.family]])
            expected = detail_.kernel_sum_ns if detail_ else total.wall_ns
            assert (own if detail_ else tree.nodes[width[total.family]].ns) == expected
            checked += 1
    assert checked
    if not tree.gpu:
        return
    devices = ask(trace, Devices)
    assert tree.slices is not None
    of_streams = np.array([track.kind == "stream" for track in tree.tracks])
    single = int(tree.slices.dur[of_streams[tree.slices.track]].sum())
    together = int(tree.slices.rest[4][of_streams[tree.slices.rest[0]]].sum())
    work = sum(d.kernel_sum_ns + d.memcpy_sum_ns + d.memset_sum_ns for d in devices.rows)
    idle = sum(d.seen_idle_ns for d in devices.rows)
    assert single + together == work == sum(t.ns for t in tree.tracks if t.kind == "stream")
    assert sum(n.ns for n in tree.nodes if n.kind == "idle") == idle
    assert tree.nodes[0].ns == work + idle
    of_work = sum(t.count for t in tree.tracks if t.kind == "stream")
    assert (
        tree.nodes[0].count
        == of_work
        == sum(d.kernel_count + d.memcpy_count + d.memset_count for d in devices.rows)
    )


# ---------------------------------------------------------------- what the page holds


def unpacked(text: str) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    whole = gzip.decompress(base64.b64decode(text))
    size = int.from_bytes(whole[:4], "little")
    header, at, columns = json.loads(whole[4 : 4 + size]), 4 + size, {}
    for name, length, width in header["columns"]:
        planes = np.frombuffer(whole, np.uint8, length * width, at).reshape(width, length)
        columns[name] = sum(plane.astype(np.int64) << 8 * i for i, plane in enumerate(planes))
        at += length * width
    return header, columns


@pytest.mark.parametrize("limit", [440_000, 60_000])
def test_what_is_packed_adds_up_to_the_same_times_however_small_it_is_made(limit: int) -> None:
    tree = one(real.loaded("hta_nccl_ddp_a100"))
    own = picture.of_tree(tree, "t.json")
    assert own is not None
    assert tree.slices is not None
    made = picture.packed("tree", own, limit)
    assert len(made.packed) <= limit
    header, columns = unpacked(made.packed)
    assert header["ns"] == [node.ns for node in tree.nodes]
    starts = np.repeat(np.arange(len(tree.tracks)), header["perTrack"])
    for number, track in enumerate(tree.tracks):
        single, rest = starts == number, columns["restTrack"] == number
        assert columns["dur"][single].sum() + columns["restNs"][rest].sum() == track.ns
        assert single.sum() + columns["restCount"][rest].sum() == track.count
        begun = header["start"] + columns["start"][single].cumsum()
        mine = tree.slices.track == number
        if single.sum() == mine.sum():
            assert begun.tolist() == tree.slices.start[mine].tolist()
    assert ("drawn together" in made.note) == (columns["restCount"].sum() > 0)


def test_the_longest_are_drawn_one_by_one_and_all_others_as_runs() -> None:
    dur = np.array([6, 1, 1, 2, 5])
    start = np.array([0, 7, 9, 11, 15])
    keep = detail.chosen(dur, np.zeros(5, bool), 2)
    assert keep.tolist() == [True, False, False, False, True]
    wanted = np.array([False, True, False, False, False])
    assert detail.chosen(dur, wanted, 2).tolist() == [True, True, False, False, False]
    gone = ~keep
    rest = detail.runs(
        np.zeros(3, np.int64), start[gone], dur[gone], window=(0, 20), bins=2
    )  # fmt: skip
    assert rest.tolist() == [[0, 0], [7, 11], [10, 13], [2, 1], [2, 2]]
    joined = detail.thinner(rest, rest[:, :0], window=(0, 20), bins=1)
    assert joined.tolist() == [[0], [7], [13], [3], [4]]


@pytest.mark.parametrize("most", [1, 3, 4, 9])
def test_of_what_lasts_as_long_the_first_is_taken(most: int) -> None:
    length = np.array([5, 7, 5, 9, 5, 7])
    assert detail.longest(length, most).tolist() == [3, 1, 5, 0, 2, 4][:most]


def test_of_more_threads_than_are_drawn_none_needs_to_have_the_highest_number() -> None:
    """The profiler's own slices are of a process of their own, after all others."""
    host = [Slice(10 * n, 5 + n, "aten::mm", Cat.CPU_OP, tid=n) for n in range(12)]
    own = Slice(0, 500, "PyTorch Profiler (0)", Cat.OTHER, pid=1 << 40)
    made = one(build([*host, own]))
    assert [track.label for track in made.tracks] == [f"thread {n}" for n in range(2, 12)]
