"""Checks of single records: what cannot be true, and whose they are."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.audit import Effect, Finding
from tracekit.attribution import links
from tracekit.results.units import count, plural
from tracekit.trace.trace import GPU_WORK, Cat, Trace

from .finding import ALL_WORK, BOTH


def impossible_records(trace: Trace) -> Iterator[Finding]:
    """What cannot be true, and so is in no number; work that is cut where its stream went on."""
    for aside in trace.aside:
        number = len(aside.rows)
        gpu = int(aside.rows.is_(*GPU_WORK).sum())
        all_gpu = len(links.work(trace)) + (0 if aside.cut else gpu)
        where = f", {count(gpu)} of {count(all_gpu)} GPU activities," if gpu else ""
        has = "has" if number == 1 else "have"
        done = (
            "it is cut where the next begins"
            if aside.cut
            else "they are in no number of this trace"
        )
        what = f"{plural(number, 'record')}{where} {has} {aside.what}: {done}."
        part = gpu / all_gpu if gpu else number / (len(trace) + number)
        effect: Effect = "refused" if 2 * gpu > all_gpu else "degraded"
        touches = ALL_WORK if gpu else ("stages", "idle", "tokens", "launches", "kernels")
        if aside.rows.is_(Cat.ANNOTATION, Cat.CPU_OP, Cat.RUNTIME).any() or gpu:
            yield Finding(
                trace.path, "impossible_records", effect, what, number, None, part, touches
            )
        else:
            yield Finding(trace.path, "impossible_records", "note", what, number, None, part, BOTH)


def merged_ranks(trace: Trace) -> Iterator[Finding]:
    """That the file holds several ranks, each of which is analysed by itself."""
    if trace.source.rank is not None:
        what = (
            "The file holds several ranks or processes: each is analysed by itself, so that ids of "
            "one never meet those of another; sums are over all of them."
        )
        yield Finding(trace.path, "merged_ranks", "note", what, 1, None, None, BOTH)
    if trace.source.rank_guessed:
        what = (
            "The ranks launch in lockstep and the file's process and launch ids are the same for "
            "all of them: which work is whose is a best guess, by the launch just before it and by "
            "the order of the numbers. Durations of kernels over all ranks do not depend on it; "
            "what is said of one rank does."
        )
        yield Finding(trace.path, "merged_ranks", "degraded", what, 1, None, None, BOTH)
