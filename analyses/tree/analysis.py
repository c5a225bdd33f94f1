"""From the stages of a trace down to its kernels: what is inside what, and how long it took.

mark      pppppppp....        prefill 6: op x 6: A 3, B 3; idle 2: host
op        .xxxxx......
host      ..a..b......        1 µs a column; launch a issues kernel A
stream 7  ...AAA..BBB.
"""

from __future__ import annotations

import numpy as np

from tracekit.answers.tree import FILL, KERNEL, ROOT, Tree, Trees
from tracekit.attribution import links
from tracekit.attribution.stages.instances import markers_if_any
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results.catalog import Analysis
from tracekit.results.figures import shorten
from tracekit.results.result import Column, Grid
from tracekit.trace.trace import Trace

from . import device, host, slices, waiting
from .growing import Growing, Sums, finished

NODES = 1500
ROWS = 60  # of the table
LETTERS = 300  # of a name in it: other tables have the whole


def tree(trace: Trace, *, stages: str | None = None, drawn: bool = True) -> Trees:
    """The tree, and with `drawn` the slices of a picture of it.

    `stages` is a regular expression: annotations whose name it finds are the stages.
    Raises: MissingEventsError for a trace with neither device work nor ops, or where `stages`
    matches nothing.
    """
    gpu = links.work(trace)
    if not len(gpu) and not len(links.ops(trace)):
        raise MissingEventsError(
            "neither kernel events nor framework ops", where=trace.path,
            hint="capture with ProfilerActivity.CPU, and a GPU visible",
        )  # fmt: skip
    growing = Growing()
    waits, ops = None, None
    if len(gpu):
        work = device.grown(trace, stages, growing)
        waits = waiting.grown(trace, stages, growing)
        size = len(growing)
        sums = _together(device.sums(trace, work, size), waiting.sums(waits, size))
        categories = device.categories(trace, work, size)
        lines = device.lines(trace, work, size)
    else:
        work = np.empty(0, np.int64)
        ops, sums, categories = host.grown(trace, stages, growing)
        lines = [None] * len(growing)
    nodes, place = finished(growing, sums, categories, lines, NODES)
    if waits is not None:
        waits = replace(waits, node=np.where(waits.node >= 0, place[waits.node], -1))
    picture = slices.drawn(
        trace, markers_if_any(trace, stages), place[work], None if ops is None else place[ops],
        waits, single=drawn,
    )  # fmt: skip
    return Trees((Tree(
        trace.path, bool(trace.devices), *picture.window, nodes, picture.tracks, picture.left_out,
        picture.view, names=picture.names, slices=picture.slices,
    ),))  # fmt: skip


def _together(one: Sums, two: Sums) -> Sums:
    return Sums(
        one.count + two.count, one.ns + two.ns, one.described + two.described,
        one.floor + two.floor, np.minimum(one.first, two.first),
    )  # fmt: skip


# ---------------------------------------------------------------- how it is shown

DEFINITIONS = {
    "inside": "The stage, modules and ops around the launch, from the outside in; of replayed "
    "work, around the launch that it was captured from, where that is known.",
    "GPU time": "Durations of the kernels, copies and memsets added up: where streams overlap, "
    "more than the time in which the device was busy. Of idle time its length.",
    "host time": "Time inside an op, or a stage, of its own thread.",
    "idle": "A stretch between a device's first activity and its last in which it had no work, in "
    "the stage that launched the work on both sides, else outside every stage; by cause, then what "
    "the launching thread was in for at least half of the stretch.",
    "floor": "The least time that the device's peaks allow for the part that has a formula.",
}


def tables(result: Trees) -> list[Grid]:
    """The longest parts of each tree, without those that are all of what they are in."""
    many = len(result.rows) > 1
    gpu = any(one.gpu for one in result.rows)
    time = "GPU time" if gpu else "host time"
    columns = (
        *((Column("trace"),) if many else ()),
        Column("name"), Column("kind"), Column("inside", "text", DEFINITIONS["inside"]),
        Column("calls" if not gpu else "count", "count"), Column(time, "ns", DEFINITIONS[time]),
        Column("share", "share", "Of the whole, idle time included."),
        Column("floor", "ns", DEFINITIONS["floor"]),
    )  # fmt: skip
    rows = [
        (*((one.rank or one.path,) if many else ()), *row)
        for one in result.rows
        for row in _rows(one)
    ]
    return [Grid("parts", "Longest parts of the stages", columns, rows[:200], _note(result))]


def _rows(one: Tree) -> list[tuple[object, ...]]:
    whole = one.nodes[0].ns
    only = {
        at
        for at, node in enumerate(one.nodes)
        if node.parent >= 0
        and one.nodes[node.parent].ns == node.ns
        and one.nodes[node.parent].kind != ROOT
    }
    order = sorted(range(1, len(one.nodes)), key=lambda at: -one.nodes[at].ns)
    shown = [at for at in order if at not in only or one.nodes[at].kind == KERNEL][:ROWS]
    return [
        (node.name[:LETTERS], "memset" if node.kind == FILL else node.kind,
         " › ".join(map(shorten, path(one, node.parent))), node.count,
         node.ns, node.ns / whole if whole else None, node.floor_ns)
        for node in (one.nodes[at] for at in shown)
    ]  # fmt: skip


def path(one: Tree, at: int) -> list[str]:
    """The names from the outermost stage down to a node."""
    out: list[str] = []
    while at > 0:
        out.append(one.nodes[at].name)
        at = one.nodes[at].parent
    return out[::-1]


def _note(result: Trees) -> str:
    left = sum(len(one.nodes) - 1 for one in result.rows) - ROWS * len(result.rows)
    said = "A part holds those inside it: do not add the column up."
    return f"{said} {left:,} shorter parts are in the picture only." if left > 0 else said


ANALYSIS = Analysis(
    title="Inside the stages",
    question="What took the device's time, from the stages down to single kernels, and when?",
    host_question="What took the host's time, from the stages down to single ops, and when?",
    run=tree,
    merge=lambda one, two: Trees(one.rows + two.rows),
    tables=tables,
    definitions=DEFINITIONS,
    order=12,
    alone=True,
    adds_up=False,
)
