"""Are two traces of the same work? What differs between the runs, and what the audit says of each.

Works on plain JSON (`Answers.to_json`), as `tracekit.compare` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tracekit.attribution.stages.work_phases import ALL, NO_PHASE
from tracekit.trace import run_facts

Plain = Mapping[str, Any]
Kind = Literal["run", "stage", "recording", "setting"]
ALL_STAGES = "all stages"  # the family of the stages' grand total
VERBS = {"trusted": "trusts", "degraded": "degrades", "refused": "refuses"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact in which the runs differ.

    run: other work (model, batch, tokens …); stage: a stage that one side lacks, or has more often;
    recording: what the profiler did beside, which slows the host down; setting: what may explain a
    change of the same work.
    """

    what: str
    before: str | None  # None: not there
    after: str | None
    kind: Kind
    stage: str | None = None

    def __str__(self) -> str:
        if self.kind == "stage" and self.after is None:
            return f"{self.what} only before ({self.before})"
        if self.kind == "stage" and self.before is None:
            return f"{self.what} only after ({self.after})"
        return f"{self.what} {self.before or 'not said'} → {self.after or 'not said'}"


@dataclass(frozen=True, slots=True)
class Caution:
    """What the audit holds against the numbers of one side, or of both in the same words."""

    side: Literal["before", "after", "both"]
    check: str
    effect: str  # degraded, refused
    what: str


@dataclass(frozen=True, slots=True)
class Audits:
    before: str | None  # the verdict; None where the side was not audited
    after: str | None
    cautions: tuple[Caution, ...]

    @property
    def alike(self) -> bool:
        """Whether the audit holds the same checks against both sides, if not the same numbers."""
        found = [{c.check for c in self.cautions if c.side in (side, "both")}
                 for side in ("before", "after")]  # fmt: skip
        return found[0] == found[1]

    def __str__(self) -> str:
        """The verdicts in words; empty where both sides are trusted."""
        if self.before is None or self.after is None or {self.before, self.after} == {"trusted"}:
            return ""
        one, two = (VERBS.get(v, v) for v in (self.before, self.after))
        if one == two:
            return f"The audit {one} both traces."
        return f"The audit {one} the trace before, and {two} the one after."


def differences(before: Plain, after: Plain) -> tuple[Difference, ...]:
    """In what the runs differ: what makes their times incomparable first, then settings."""
    sides = (_run(before), _run(after))
    work = {key: name for key, name in run_facts.WORK.items() if key not in run_facts.WHERE}
    where = {key: run_facts.WORK[key] for key in run_facts.WORK if key in run_facts.WHERE}
    found = [
        *_facts(sides, work, "run"),
        *_tokens(before, after, sides),
        *_stages(before, after),
        *_facts(sides, run_facts.RECORDED, "recording"),
        *_facts(sides, where, "setting"),
        *_facts(sides, run_facts.SETTINGS, "setting"),
    ]
    return tuple(found)


def _run(side: Plain) -> dict[str, Any]:
    """What is known of a run; the dtype of most of its FLOPs where the trace says none."""
    out = dict(side.get("run") or {})
    time: dict[str, float] = {}
    for row in (side["answers"].get("roofline") or {}).get("rows") or ():
        if row.get("dtype"):
            time[row["dtype"]] = time.get(row["dtype"], 0) + row.get("total_ns", 0)
    if time and "dtype" not in out:
        out["dtype"] = max(time, key=lambda name: time[name])
    return out


def _facts(sides: Sequence[Plain], names: Mapping[str, str], kind: Kind) -> Iterator[Difference]:
    for key in run_facts.differing(sides):
        if key in names:
            one, two = (run_facts.shown(side[key]) if key in side else None for side in sides)
            # what one side does not say is not known to differ
            known = one is not None and two is not None
            yield Difference(names[key], one, two, kind if known else "setting")


def _tokens(before: Plain, after: Plain, sides: Sequence[Plain]) -> Iterator[Difference]:
    """Tokens that each phase made, where the run itself does not say."""
    if any("generated_tokens" in side for side in sides):
        return
    counts = [
        {row["phase"]: row["tokens"]
         for row in (side["answers"].get("kernels") or {}).get("phases") or ()
         if row.get("tokens") is not None and row["phase"] not in NO_PHASE}
        for side in (before, after)
    ]  # fmt: skip
    for phase in counts[0]:
        if phase in counts[1] and counts[0][phase] != counts[1][phase]:
            of = "" if phase == ALL else f" of {phase}"
            one, two = (f"{own[phase]:,}" for own in counts)
            yield Difference(f"tokens{of}", one, two, "run")


def _stages(before: Plain, after: Plain) -> Iterator[Difference]:
    """Stages that one side lacks, and those with another number of instances."""
    if "stages" not in before["answers"] or "stages" not in after["answers"]:
        return
    sides = [
        {t["family"]: t["instances"] for t in side["answers"]["stages"]["totals"]
         if t["family"] != ALL_STAGES}
        for side in (before, after)
    ]  # fmt: skip
    for name in dict.fromkeys((*sides[0], *sides[1])):
        one, two = (own.get(name) for own in sides)
        if one != two:
            said = [None if n is None else f"{n:,} ×" for n in (one, two)]
            yield Difference(name, said[0], said[1], "stage", name)


def audits(before: Plain, after: Plain) -> Audits:
    """Both verdicts, and what changes a number: of one side, or of both."""
    sides = [side["answers"].get("audit") or {} for side in (before, after)]
    odd = [
        {row["what"]: row for row in side.get("rows") or () if row["effect"] != "note"}
        for side in sides
    ]
    found = [_caution("both", row) for what, row in odd[0].items() if what in odd[1]]
    found += [_caution("before", row) for what, row in odd[0].items() if what not in odd[1]]
    found += [_caution("after", row) for what, row in odd[1].items() if what not in odd[0]]
    return Audits(sides[0].get("verdict"), sides[1].get("verdict"), tuple(found))


def _caution(side: Literal["before", "after", "both"], row: Plain) -> Caution:
    return Caution(side, row["check"], row["effect"], row["what"])
