"""Answers on two cores: a second thread begins with the long ones, then with those that come last.

numpy holds no lock of the interpreter while it works on columns, and of a large trace that is what
answers are made of. What both need is computed once: who asks second waits (`Trace.once`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any

from tracekit.results import catalog
from tracekit.trace.columns.cores import cores as here
from tracekit.trace.columns.cores import meanwhile
from tracekit.trace.trace import Trace

_LARGE = 300_000  # slices: below, answers are made of the interpreter's own work
_TURN_S = 0.0005  # until a thread that waits for the interpreter gets it: columns take as long


@contextmanager
def from_the_end(
    trace: Trace, given: Mapping[str, Mapping[str, Any]], cores: int | None
) -> Iterator[None]:
    """Meanwhile the answers of these analyses are computed: long ones, then the last first.

    `given` are the parameters of each; `cores` are those of this process where it is None. Faults
    are left to who asks for the answer.
    """
    if len(trace) < _LARGE or len(given) < 2 or (here() if cores is None else cores) < 2:
        yield
        return

    def work(over: Event) -> None:
        last_first = tuple(given)[::-1]
        left = sorted(last_first, key=lambda name: not catalog.analysis(name).alone)
        while left and not over.is_set():
            # what the other thread is at takes as long whether it is waited for or not
            free = (name for name in left if not catalog.is_being_found(trace, name, **given[name]))
            name = next(free, left[0])
            left.remove(name)
            with suppress(Exception):  # it is not kept: who asks meets it
                catalog.answer(trace, name, **given[name])

    turn = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_S)
    try:
        with meanwhile(work, "tracekit answers"):
            yield
    finally:
        sys.setswitchinterval(turn)
