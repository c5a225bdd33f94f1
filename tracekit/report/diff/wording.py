"""Is one side of a comparison faster, or only less? The words for it, and what forbids them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tracekit.comparison import comparability, tables
from tracekit.comparison.compare import Comparison
from tracekit.comparison.splits import Split
from tracekit.results import units
from tracekit.results.first_screen import Verdict
from tracekit.trace import run_facts


def headline(result: Comparison, head: Split | None) -> Iterable[str]:
    """The change of the headline's total, and the part that most of it is."""
    if head is None:
        return
    same = judged(result, head)
    value, word = change(head.difference_ns, head.relative, judged=same)
    said = (
        f"{tables.upper(head.of)}: {units.duration(head.before_ns)} before, "
        f"{units.duration(head.after_ns)} after"
    )
    if head.difference_ns:
        said += f", {value} ({word})"
        largest = max(head.parts, key=lambda p: abs(p.difference_ns), default=None)
        if largest is not None and largest.difference_ns:
            said += (
                f"; the largest part is {largest.name}, {change(largest.difference_ns, None)[0]}"
            )
    old, new = result.kernel_before_ns, result.kernel_after_ns
    if old and new and old != new:
        more = f"{units.share(abs(new / old - 1))} {'more' if new > old else 'less'}"
        said += (
            f"; kernels take {units.duration(old)} before and {units.duration(new)} after ({more})"
        )
    if not same:
        said += f"; {why_not(result)}, so neither is called faster"
    elif head.difference_ns and _once(result):
        said += "; each stage ran once a side, so what differs by chance is not known"
    yield f"{said}."


def _once(result: Comparison) -> bool:
    """No stage has a second instance that would show how much it differs by itself."""
    counts = [n for s in result.stages for n in (s.before_count, s.after_count) if n is not None]
    return bool(counts) and max(counts) == 1


def notes(result: Comparison) -> Iterable[str]:
    """What makes the two other work, and which settings may explain a change."""
    samples = {(f"{d.before} ×", f"{d.after} ×") for d in result.differences
               if d.what == run_facts.NAMES["samples"]}  # fmt: skip
    work = [
        str(d)
        for d in result.differences
        if d.kind == "run" or (d.kind == "stage" and (d.before, d.after) not in samples)
    ]
    recorded, settings = (
        [str(d) for d in result.differences if d.kind == kind] for kind in ("recording", "setting")
    )
    if work:
        yield (
            f"Not the same work: {_few(work)}. The totals cannot be compared; what each "
            "request, token or instance takes is below."
        )
    if recorded:
        yield (
            f"Not recorded alike: {_few(recorded)}. Recording slows the host down: capture both "
            "alike before you call one faster."
        )
    if settings:
        lead = "Also changed" if work or recorded else "What was changed"
        yield f"{lead}: {_few(settings)}."
    if alone := tables.alone(result):
        yield f"Not compared, since one side alone answers them: {_few(alone)}."
    if not result.splits:
        yield "The two traces have no total in common."


def _few(said: Sequence[str], most: int = 8) -> str:
    more = f"; and {len(said) - most} more, in --json" if len(said) > most else ""
    return "; ".join(said[:most]) + more


_LEVELS = {"trusted": "", "degraded": "warn", "refused": "bad"}


def verdicts(result: Comparison) -> Iterable[Verdict]:
    """The audit's word on both sides, with its first reasons."""
    sides = (result.audits.before, result.audits.after)
    if sides[0] is None or sides[1] is None:
        return
    if set(sides) == {"trusted"}:
        yield Verdict("", "Trusted", "Both traces, by every check that changes a number.")
        return
    worst = max(sides, key=lambda verdict: list(_LEVELS).index(verdict or "trusted"))
    levels = list(_LEVELS)

    def reasons(side: str) -> list[str]:
        """The worst first; of equal ones those of this side alone."""
        mine = [c for c in result.audits.cautions if c.side in (side, "both")]
        mine.sort(key=lambda c: (-levels.index(c.effect), c.side == "both"))
        return [c.what for c in mine]

    own = {side: reasons(side) for side in ("before", "after")}
    verbs = [comparability.VERBS[verdict or "trusted"] for verdict in sides]
    if own["before"] == own["after"]:
        text = f"The audit {verbs[0]} both traces{_because(own['before'])}."
    else:
        text = (
            f"The audit {verbs[0]} the trace before{_because(own['before'])}, and {verbs[1]} the "
            f"one after{_because(own['after'])}."
        )
    yield Verdict(_LEVELS[worst or "trusted"], (worst or "").capitalize(), text)


def _because(reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    # the sentence says more; the table has the whole of it
    first = reasons[0].split(": ")[0].split(". ")[0].rstrip(".")
    if first.split(" ", 1)[0].isalpha():
        first = f"{first[:1].lower()}{first[1:]}"
    more = f" (and {len(reasons) - 1} more, in the audit's table)" if len(reasons) > 1 else ""
    return f", because {first}{more}"


def judged(result: Comparison, split: Split) -> bool:
    """Whether less of this total is faster: the same work on both sides, and none of it lost."""
    if not result.audits.alike:
        return False
    if result.same_work:
        return True
    stages = {s.stage for s in result.stages}
    return split.of in stages and not any(
        d.kind in ("run", "recording") or (d.kind == "stage" and d.stage == split.of)
        for d in result.differences
    )


def why_not(result: Comparison) -> str:
    """Why a total cannot be compared, in a few words."""
    kinds = {d.kind for d in result.differences}
    if kinds & {"run", "stage"}:
        return "not the same work"
    return "not recorded alike" if "recording" in kinds else "not as trusted on both sides"


def change(ns: float, share: float | None, *, judged: bool = True) -> tuple[str, str]:
    """The change with its sign, and in a word: of other work only that it is more or less."""
    sign = "+" if ns > 0 else "−" if ns < 0 else ""
    more, less = ("slower", "faster") if judged else ("more", "less")
    if judged and share is not None:  # 55 % less time is 2.2 times as fast, and not 55 % faster
        more, less = "more time", "less time"
    word = more if ns > 0 else less if ns < 0 else "the same"
    part = "" if share is None or not ns else f"{units.share(abs(share))} "
    if share is not None and share > 2:
        part, word = f"{share + 1:,.1f} times ", "as long" if judged else "as much"
    return f"{sign}{units.duration(abs(ns))}", f"{part}{word}"
