"""The headline of a trace without device work: what the host spent its time on."""

from __future__ import annotations

from collections import Counter

from tracekit.answers.audit import Audit
from tracekit.answers.ops import Ops
from tracekit.answers.stages import Stages, Total
from tracekit.results.answers import Answers
from tracekit.results.units import duration, plural, share

WORTH = 0.1  # of the time: an op, or a part of it, that is named
LITTLE = 0.005  # of the time: copies that are not named beside ops
LONG = 48  # characters of a name in a sentence


def headline(one: Answers) -> str:
    """The longest stage and what it holds; of a trace without stages, the op with most time."""
    stages, ops = one.get(Stages), one.get(Ops)
    whole = stages.whole if stages is not None else None
    if stages is None or whole is None or not whole.wall_ns:
        return _ops_alone(ops)
    top = max(stages.stages, key=lambda total: total.wall_ns)
    said = [f"{_lead(one)}{_of_all(top, whole)}{_parts(top)}"]
    if top.wall_ns >= 0.9 * whole.wall_ns and (op := _largest(ops)) and not _mostly_waits(top):
        said.append(op)
    return f"{'; '.join(said)}."


def _lead(one: Answers) -> str:
    audit = one.get(Audit)
    launched = [r for r in (audit.rows if audit is not None else ()) if r.check == "no_gpu_work"]
    if launched:
        calls = plural(launched[0].count, "kernel launch", "kernel launches")
        return f"{calls} and no kernel are in the file. On the host, "
    return "CPU time: "


def _of_all(top: Total, whole: Total) -> str:
    """The stage that lasts longest, and its part of all stages where others lie beside it."""
    name = top.family if len(top.family) <= LONG else f"{top.family[: LONG - 1].rstrip()}…"
    many = f" ({plural(top.instances, 'instance')})" if top.instances > 1 else ""
    if top.wall_ns < 0.99 * whole.wall_ns:
        return (
            f"{name}{many} is {share(top.wall_ns / whole.wall_ns, 0)} of the "
            f"{duration(whole.wall_ns)} in stages"
        )
    return f"{name}{many} takes {duration(top.wall_ns)}"


def _waits(total: Total) -> int:
    return total.host_detail.collective_ns if total.host_detail is not None else 0


def _mostly_waits(total: Total) -> bool:
    return _waits(total) > 0.5 * total.wall_ns


def _parts(top: Total) -> str:
    """What the stage's thread was in, the parts worth a word."""
    if top.host is None or not top.wall_ns:
        return ""
    waits, outside = _waits(top), top.host.other_ns - _waits(top)
    copies = " and copies" if top.host.copy_ns >= LITTLE * top.wall_ns else ""
    parts = [
        ("in collectives and no op", waits),
        (f"in framework ops{copies}", top.host.op_ns + top.host.copy_ns),
        ("outside any op (Python, other code, waiting)", outside),
    ]
    parts.sort(key=lambda part: -part[1])
    shown = [
        f"{share(ns / top.wall_ns, 0)}{' of it' if not place else ''} {what}"
        for place, (what, ns) in enumerate(parts) if ns >= WORTH * top.wall_ns
    ]  # fmt: skip
    return f", {', '.join(shown)}" if shown else ""


def _largest(ops: Ops | None) -> str:
    """The op with most self time."""
    whole, name, ns = _most(ops)
    if not whole or ns < WORTH * whole or len(name) > LONG:
        return ""
    return f"`{name}` is {share(ns / whole, 0)} of the op time"


def _most(ops: Ops | None) -> tuple[int, str, int]:
    """Self time of all ops, and the op with most of it; zeros without ops."""
    sums: Counter[str] = Counter()
    # rows are of the innermost stage: only of one that holds all of the trace, all of them
    for row in ops.rows if ops is not None else ():
        sums[row.name] += row.self_ns
    return (sums.total(), *sums.most_common(1)[0]) if sums else (0, "", 0)


def _ops_alone(ops: Ops | None) -> str:
    whole, name, ns = _most(ops)
    if not whole:
        return ""
    return (
        f"CPU time: framework ops take {duration(whole)}, {share(ns / whole, 0)} of it "
        f"in `{name[:LONG]}`."
    )
