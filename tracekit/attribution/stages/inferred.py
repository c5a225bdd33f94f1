"""Prefill and decode steps of a program that marks nothing, from the repetition of its layers.

A forward pass of a language model is a row of attention ops, one a layer; what draws a token
(argmax, multinomial) ends it. Decode steps are passes that do the same ops again and again, one
query a row; prefill is the pass before them that does others, or has more queries. What is found is
inferred, and is said to be; where it could be something else (an encoder in a loop, training,
replayed graphs, which leave no ops) nothing is.

        mm sdpa mm sdpa mm … argmax │ eq … │ embedding … mm sdpa mm sdpa mm … argmax
        └────── prefill ───────────┘ host   └─────────── decode step ─────────────┘
"""

from __future__ import annotations

import re

import numpy as np

from tracekit.attribution import links
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Mask, Trace

LEAST = 3  # decode steps in a row, of one form
ALIKE = 0.8  # of the passes must have one number of layers

# one op a layer; the outermost of those that call one another counts
_ATTENTION = (
    r"^aten::scaled_dot_product_attention$|^aten::_?scaled_dot_product_\w+$"
    r"|^aten::_(flash|efficient|cudnn)_attention_forward$|^flash_attn\w*::\w*fwd\w*$"
    r"|^flash_attn\w*::_flash_attn_\w*forward$|^FlashAttn\w*Func$|^aten::_native_multi_head_attention$"
)
_SOFTMAX = r"^aten::softmax$"  # of an attention that is written out
_DRAW = r"^aten::(argmax|multinomial)$"
_TABLE = r"^aten::embedding$"
_TRAINS = r"^autograd::engine::|Backward\d*$|^Optimizer\."
# what keeps the keys and values of the tokens before: a growing or a fixed cache
_KEEPS = (
    r"^aten::(cat|index_copy_|index_put_|slice_scatter)$|selective_state_update"
    r"|causal_conv1d_update|fused_recurrent"
)
# layers without attention: one op a layer too
_SCAN = (
    r"(?:^|::|\b)(?:selective_(?:scan|state_update)|mamba_\w*scan|chunk_\w*delta|fused_recurrent)"
)
# A prefill of a prompt takes this many times as long as what decodes one token, and the passes that
# decode hardly differ
LONGER, EVEN = 3.0, 1.5


class Passes(Record, frozen=True):
    """P forward passes with the drawing of their token, in order; times in ns of the trace."""

    start: I64
    end: I64
    pid: int
    tid: int
    decode: Mask  # [P] else prefill
    layers: int


def passes(trace: Trace) -> Passes | None:
    """The passes of the thread that runs most attention; None where they cannot be told."""
    return trace.once("inferred passes", lambda: _passes(trace))


def _passes(trace: Trace) -> Passes | None:
    ops = links.ops(trace)
    if not len(ops) or ops.named(_TRAINS).any():
        return None
    layers_of = next(
        (pattern for pattern in (_ATTENTION, _SOFTMAX, _SCAN) if ops.named(pattern).any()), None
    )
    if layers_of is None:
        return None
    attention = ops.where(ops.named(layers_of))
    threads, owner = segments.distinct([attention.pid, attention.tid])
    busiest = int(np.bincount(owner).argmax())
    pid, tid = (int(n) for n in threads[busiest])
    mine = np.flatnonzero((ops.pid == pid) & (ops.tid == tid))  # in order of their start
    own = ops.where(mine) if len(mine) < len(ops) else ops
    layer = _outermost(own, layers_of)
    draw = _outermost(own, _DRAW)
    found = _grouped(own, layer, draw)
    if found is None:
        return None
    first, last, layers = found
    table = _outermost(own, _TABLE)
    begin = _begins(own, layer[first], draw, table)
    close = np.searchsorted(own.ts[draw], own.ts[layer[last]])
    decode = _decoding(trace, own, begin, draw[close], layer[first], layers)
    if decode is None and len(table) and np.isin(begin, table).all():
        decode = _shorter(trace, mine[begin], mine[draw[close]], pid, tid)
    if decode is None:
        return None
    return Passes(own.ts[begin], own.end[draw[close]], pid, tid, decode, layers)


def _outermost(ops: Trace, pattern: str) -> I64:
    """Rows of the ops of that name, without those inside another of them; sorted by start."""
    rows = np.flatnonzero(ops.named(pattern))
    if len(rows) < 2:
        return rows
    some = ops.where(rows)
    reach = np.maximum.accumulate(some.end)
    outer = np.concatenate([[True], some.ts[1:] >= reach[:-1]])
    return np.asarray(rows[outer])


def _grouped(ops: Trace, layer: I64, draw: I64) -> tuple[I64, I64, int] | None:
    """(first, last, layers): the places in `layer` where each pass that draws a token begins and
    ends, and how many layers it has. None where passes are too few or too unlike.
    """
    number = np.searchsorted(ops.ts[draw], ops.ts[layer])  # draws before each layer
    first = np.flatnonzero(np.diff(number, prepend=-1))
    last = np.append(first[1:], len(layer)) - 1
    drawn = number[first] < len(draw)  # the last pass may be cut off before its token
    first, last = first[drawn], last[drawn]
    if len(first) < LEAST:
        return None
    counts = last - first + 1
    layers = int(np.bincount(counts).argmax())
    whole = counts == layers
    if whole.mean() < ALIKE:
        return None
    return first[whole], last[whole], layers


def _begins(ops: Trace, layer: I64, draw: I64, table: I64) -> I64:
    """[P] the row that begins each pass: the first look-up in an embedding after the draw before
    it, else the first op after that draw; `layer` [P] are the rows of the first layers.
    """
    number = np.searchsorted(ops.ts[draw], ops.ts[layer]) - 1
    done = np.where(number >= 0, ops.end[draw[np.maximum(number, 0)]], ops.ts[0])
    after = np.searchsorted(ops.ts, done)
    if not len(table):
        return np.minimum(after, layer)
    place = np.minimum(np.searchsorted(ops.ts[table], done), len(table) - 1)
    looked = table[place]
    return np.where((ops.ts[looked] >= done) & (looked <= layer), looked, np.minimum(after, layer))


def _decoding(
    trace: Trace, ops: Trace, begin: I64, close: I64, layer: I64, layers: int
) -> Mask | None:
    """[P] which passes decode; None where the trace does not show that any does."""
    queries = _queries(trace, ops, layer)
    form = _forms(ops, begin, close)
    usual = form == np.bincount(form).argmax()
    if (queries > 0).all():
        decode: Mask = queries == 1
        if _runs(decode):
            return decode
        # heads that share keys and values may be folded into the queries of a single token
        if usual.all() or queries[usual].max() >= queries[~usual].min():
            return None
    # no shapes, or none that say so: the passes that are all alike decode if others come before
    # them, and they keep what a cache keeps in every layer; an encoder in a loop has no pass that
    # is not like the others
    keeps = np.concatenate([[0], np.cumsum(ops.named(_KEEPS))])
    kept = keeps[close] - keeps[begin] >= layers
    before = np.concatenate([[False], ~usual[:-1]])
    if not _runs(usual) or not (usual & before).any() or not kept[usual].all():
        return None
    return np.asarray(usual)


def _shorter(trace: Trace, begin: I64, close: I64, pid: int, tid: int) -> Mask | None:
    """[P] which passes decode, by what they take: after each long pass short ones that are alike.

    Every pass looks tokens up and draws one; nothing else that does so has one pass long and the
    next ones a third of it or less, all alike. `begin` and `close` [P] are rows of `links.ops`.
    """
    ops = links.ops(trace)
    start, end = ops.ts[begin], ops.end[close]
    took = (end - start).astype(np.float64)
    if len(links.work(trace)):
        launch = links.launch_row(trace)
        known = np.flatnonzero(launch >= 0)
        calls = links.calls(trace).where(launch[known])
        mine = (calls.pid == pid) & (calls.tid == tid)
        place = np.searchsorted(start, calls.ts, side="right") - 1
        mine &= (place >= 0) & (calls.ts < end[np.maximum(place, 0)])
        took = np.bincount(
            place[mine], weights=links.work(trace).dur[known[mine]], minlength=len(start)
        ).astype(np.float64)
    usual = float(np.median(took))
    decode = took < 2 * usual
    even = bool(usual) and took[decode].max() <= EVEN * max(took[decode].min(), 1.0)
    if not even or decode[0] or (took[~decode] < LONGER * usual).any() or not _runs(decode):
        return None
    return decode


def _runs(decode: Mask) -> bool:
    """Whether LEAST passes in a row decode."""
    run = np.convolve(decode.astype(np.int64), np.ones(LEAST, np.int64), "valid")
    return bool(len(run) and run.max() == LEAST)


def _forms(ops: Trace, begin: I64, close: I64) -> I64:
    """[P] a number that passes with the same ops in the same order share."""
    names = ops.name
    seen: dict[bytes, int] = {}
    return np.array(
        [
            seen.setdefault(names[a : b + 1].tobytes(), len(seen))
            for a, b in zip(begin.tolist(), close.tolist(), strict=True)
        ],
        np.int64,
    )


def _queries(trace: Trace, ops: Trace, layer: I64) -> I64:
    """[P] queries of a row in the first layer of each pass; 0 where no shape was recorded."""
    out = np.zeros(len(layer), np.int64)
    table = trace.table("shapes")
    if "dims" not in table.columns or not len(table):
        return out
    text = table.take(ops.id[layer], "dims", -1)
    for at, number in enumerate(text.tolist()):
        shape = re.match(r"\[\[([\d, ]+)\]", table.strings[number]) if number >= 0 else None
        sizes = [int(n) for n in shape[1].split(",")] if shape else []
        if len(sizes) == 4:
            # [B, heads, queries, D] in torch, [B, queries, heads, D] in flash-attn
            name = ops.strings[int(ops.name[layer[at]])]
            out[at] = sizes[1] if "flash" in name.lower() and "aten" not in name else sizes[2]
    return out
