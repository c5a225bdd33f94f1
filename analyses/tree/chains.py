"""Chains of what lies inside what, as numbers: each distinct chain once."""

from __future__ import annotations

import numpy as np

from tracekit.records import Record
from tracekit.trace.spans import compiled, segments
from tracekit.trace.trace import I64


class Chains(Record, frozen=True, eq=False):
    """C distinct chains; each is another one and a name at its end."""

    code: I64  # [N] the chain of each row
    before: I64  # [C] the chain without its end; -1 for none
    end: I64  # [C] the name at the end

    def names(self, chain: int) -> list[int]:
        """The names of a chain from the outermost in; none for -1."""
        out = []
        while chain >= 0:
            out.append(int(self.end[chain]))
            chain = int(self.before[chain])
        return out[::-1]


def chains(parent: I64, name: I64) -> Chains:
    """The chain of each row of a forest: `parent` is the row around each, -1 for none."""
    loops = compiled.of(len(parent))
    made = loops.chained(parent, name) if loops else None
    if made is None:
        return _by_level(parent, name)
    # the same of the distinct chains, which are few: they are numbered as without loops
    around = parent[made.first]
    found = _by_level(np.where(around >= 0, made.code[around], -1), name[made.first])
    return Chains(np.take(found.code, made.code), found.before, found.end)


def _by_level(parent: I64, name: I64) -> Chains:
    """Level by level, so that there is no loop over rows."""
    code = np.full(len(parent), -1, np.int64)
    before, end = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    made = 0
    level = np.flatnonzero(parent < 0)
    waiting = np.flatnonzero(parent >= 0)
    while len(level):
        around = np.where(parent[level] >= 0, code[parent[level]], -1)
        key, which = segments.distinct([around, name[level]])
        code[level] = made + which
        before.append(key[:, 0])
        end.append(key[:, 1])
        made += len(key)
        ready = code[parent[waiting]] >= 0
        level, waiting = waiting[ready], waiting[~ready]
    return Chains(code, np.concatenate(before), np.concatenate(end))
