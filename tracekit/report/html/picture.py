"""The tree and the slices of a trace as a page holds them: packed columns, unpacked by a script.

One gzip stream in base64: the length of a header (4 bytes, little endian), the header as JSON, then
the columns byte by byte, the lowest bytes of all values first, since neighbours differ in these
alone. Starts are differences to the slice before on the same track.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracekit.answers.tree import (
    CAUSE,
    IDLE,
    LEAVES,
    OUTSIDE_OPS,
    WAITING,
    Node,
    Slices,
    Tree,
)
from tracekit.attribution.idle.by_cause import NAMES, SHOWN
from tracekit.patterns import later
from tracekit.records import Record, replace
from tracekit.report.html import tables
from tracekit.report.html.embedded import bounded, safe
from tracekit.results import units
from tracekit.results.figures import theme
from tracekit.results.kernel_labels import readable
from tracekit.results.unknown_work import neutral
from tracekit.taxonomy import Category
from tracekit.trace.spans import detail
from tracekit.trace.trace import I64

LEAST = 2_000  # slices: fewer say nothing
_BINS = 512  # of each track where the runs are joined once more
_PLAIN = "var(--lane)"
_FOLDER = later(r"^\S*/(?=[^/\s]+\.py\(\d+\))")  # of a Python frame


class Picture(Record, frozen=True):
    """A tree and its slices, to be drawn in a page."""

    key: str  # unique in its section
    title: str
    tree: Tree
    trace: str  # what a command names
    device: str = "GPU"  # as our own words call it

    @property
    def whole(self) -> str:
        return f"{self.device} time" if self.tree.gpu else "host time"

    def of_device(self) -> Picture:
        """The same of a device that is no GPU."""
        return replace(self, title=neutral(self.title), device="device")


class Packed(Record, frozen=True):
    """As the template puts it into a page."""

    id: str
    title: str
    label: str  # what can be seen, for those who cannot
    note: str
    packed: Any  # base64, which is no markup
    legend: tuple[Mapping[str, Any], ...]  # what each colour means: name and swatch


def packed(section: str, own: Picture, limit: int) -> Packed:
    """The picture in at most `limit` bytes: where it is too large, fewer slices are single."""
    slices = own.tree.slices
    assert slices is not None, "the tree was made without slices"
    text = _base64(own, slices)
    while len(text) > limit and len(slices) > LEAST:
        slices = thinner(own.tree, slices, max(int(len(slices) * 0.9 * limit / len(text)), LEAST))
        text = _base64(own, slices)
    return Packed(
        id=f"tk-{section}-{own.key}", title=own.title, label=_label(own, slices),
        note=_note(own.tree, slices), packed=safe(text), legend=_legend(own.tree),
    )  # fmt: skip


def thinner(tree: Tree, slices: Slices, most: int) -> Slices:
    """The longest `most` slices; all others as runs."""
    keep = detail.chosen(slices.dur, np.zeros(len(slices), bool), most)
    gone = ~keep
    window = (tree.start_ns, tree.end_ns)
    ones = np.ones(int(gone.sum()), np.int64)
    more = (
        slices.track[gone], slices.start[gone], (slices.start + slices.dur)[gone], ones,
        slices.dur[gone],
    )  # fmt: skip
    rest = detail.thinner(slices.rest, more, window=window, bins=_BINS)
    return Slices(
        slices.track[keep], slices.start[keep], slices.dur[keep], slices.name[keep],
        slices.node[keep], rest,
    )  # fmt: skip


def _label(own: Picture, slices: Slices) -> str:
    tree = own.tree
    streams = sum(track.kind == "stream" for track in tree.tracks)
    threads = sum(track.kind == "thread" for track in tree.tracks)
    rows = [units.plural(streams, "stream")] if streams else []
    rows += [units.plural(threads, "host thread")] if threads else []
    span = units.duration(tree.end_ns - tree.start_ns)
    return (
        f"{own.whole} from stage to {'kernel' if tree.gpu else 'op'}, and below it "
        f"{len(slices):,} slices of {' and '.join(rows)} over {span}"
    )


def _note(tree: Tree, slices: Slices) -> str:
    """What is not drawn one by one."""
    said = []
    runs = int(slices.rest[3].sum()) if slices.rest.size else 0
    if runs:
        said.append(
            f"{len(slices):,} slices are drawn one by one: of the longest stages one instance "
            f"whole, of the rest the longest. {runs:,} shorter ones are drawn together, as light "
            "as they are sparse."
        )
    if tree.left_out:
        said.append(
            f"{units.plural(tree.left_out, 'thread or stream', 'threads and streams')} with less "
            "time are not drawn."
        )
    return " ".join(said)


def _legend(tree: Tree) -> tuple[Mapping[str, object], ...]:
    """Categories and causes that are in the picture, in their order."""
    work = dict.fromkeys(
        node.category for node in tree.nodes
        if node.category and _mark(node, tree.gpu) and node.kind not in WAITING
    )  # fmt: skip
    order = [str(category) for category in Category]
    categories = sorted(work, key=lambda name: order.index(name) if name in order else len(order))
    seen = {node.name for node in tree.nodes if node.kind == CAUSE}
    causes = [name for name, own in SHOWN.items() if any(NAMES[cause] in seen for cause in own)]
    names = [*categories, *causes]
    return tuple({"name": name, "swatch": safe(tables.swatch(theme.mark(name)))} for name in names)


# ---------------------------------------------------------------- bytes


def _base64(own: Picture, slices: Slices) -> str:
    columns, layout = _columns(own.tree, slices)
    header = json.dumps(
        {**_header(own), **layout}, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode("utf-8", "replace")
    whole = len(header).to_bytes(4, "little") + header + columns
    return base64.b64encode(gzip.compress(whole, 9, mtime=0)).decode()


def _columns(tree: Tree, slices: Slices) -> tuple[bytes, dict[str, object]]:
    """The columns, and how each is laid out: [name, values, bytes a value]."""
    per_track = np.bincount(slices.track, minlength=len(tree.tracks))
    rest = slices.rest[:, np.lexsort((slices.rest[1], slices.rest[0]))]
    start = _differences(slices.track, slices.start, tree.start_ns)
    rest_start = _differences(rest[0], rest[1], tree.start_ns)
    values = {
        "start": start, "dur": slices.dur, "name": slices.name, "node": slices.node + 1,
        "restTrack": rest[0], "restStart": rest_start, "restLength": rest[2] - rest[1],
        "restCount": rest[3], "restNs": rest[4],
    }  # fmt: skip
    parts, layout = [], []
    for name, column in values.items():
        width = max((int(column.max(initial=0)).bit_length() + 7) // 8, 1)
        parts.append(_planes(column, width))
        layout.append([name, len(column), width])
    return b"".join(parts), {"perTrack": per_track.tolist(), "columns": layout}


def _planes(column: I64, width: int) -> bytes:
    """The values byte by byte: the lowest of all, then the next."""
    assert not len(column) or int(column.min()) >= 0, "columns hold no negative number"
    each = column.astype("<u8").view(np.uint8).reshape(-1, 8)
    return np.ascontiguousarray(each[:, :width].T).tobytes()


def _differences(track: I64, start: I64, origin: int) -> I64:
    """To the one before on the same track; of the first to the origin."""
    out = start - origin
    same = track[1:] == track[:-1]
    out[1:] = np.where(same, start[1:] - start[:-1], out[1:])
    return out


def _header(own: Picture) -> dict[str, object]:
    tree = own.tree
    texts: dict[str, int] = {}

    def number(text: str | None) -> int:
        return -1 if text is None else texts.setdefault(bounded(text), len(texts))

    kinds = list(dict.fromkeys(node.kind for node in tree.nodes))
    marks: dict[tuple[str, str, str], int] = {}

    def colour(mark: tuple[str, str, str] | None) -> int:
        return -1 if mark is None else marks.setdefault(mark, len(marks))

    nodes = tree.nodes
    names = [number(name) for name in tree.names]
    return {
        "gpu": tree.gpu, "start": tree.start_ns, "end": tree.end_ns, "view": list(tree.view),
        "trace": own.trace, "whole": own.whole, "kinds": kinds,
        "tracks": [[t.label, t.kind, t.count, t.ns] for t in tree.tracks],
        "names": names,
        "nameColours": [colour(_idle_mark(name)) for name in tree.names],
        "parent": [node.parent for node in nodes],
        "kind": [kinds.index(node.kind) for node in nodes],
        "name": [number(node.name) for node in nodes],
        "count": [node.count for node in nodes],
        "ns": [node.ns for node in nodes],
        "floor": [None if n.floor_ns is None else round(n.floor_ns) for n in nodes],
        "described": [node.described_ns for node in nodes],
        "line": [number(node.line) for node in nodes],
        "category": [number(node.category) for node in nodes],
        "colour": [colour(_mark(node, tree.gpu)) for node in nodes],
        "colours": [list(mark) for mark in marks],
        "texts": list(texts),
        "short": _short(list(texts)),
    }  # fmt: skip


def _short(texts: Sequence[str]) -> dict[int, str]:
    """Kernels as a person says them, ops without their library, frames without their folder."""
    said = [readable(_FOLDER.sub("", text.removeprefix("aten::"))) for text in texts]
    return {at: said[at] for at, text in enumerate(texts) if len(said[at]) < len(text)}


def _mark(node: Node, gpu: bool) -> tuple[str, str, str] | None:
    """Colour is the category of a kernel, or the cause of idle time; all else is told by place."""
    if node.kind in LEAVES or (not gpu and node.category not in (None, "other")):
        return _plain(theme.mark(node.category or "other"))
    if node.kind == CAUSE:
        return _plain(theme.mark(node.name))
    if node.kind in (IDLE, OUTSIDE_OPS):
        return _plain(theme.mark("idle"))
    return None


def _idle_mark(name: str) -> tuple[str, str, str] | None:
    known = theme.MARKS.get(name.lower())
    return _plain(known) if known else None


def _plain(mark: theme.Mark) -> tuple[str, str, str]:
    return (mark.colour, mark.on, mark.hatch)


def of_tree(tree: Tree, trace: str, *, key: str = "picture", of: str = "") -> Picture | None:
    """`of` is what sets the trace apart on a page of several; None without slices."""
    if tree.slices is None:
        return None
    said = f"{'GPU' if tree.gpu else 'Host'} time from stage to {'kernel' if tree.gpu else 'op'}"
    said = f"{said}, and every slice"
    return Picture(key, f"{of}: {said}" if of else said, tree, trace)
