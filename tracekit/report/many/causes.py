"""What sets each rank of a job apart from the middle one, and why the last comes last.

The window of each rank's device is cut into compute, copies, idle time by its reason, and exposed
communication. What a rank has more of than the median of all ranks is what makes it late; a rank
that has more exposed communication and less of all else waits for others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from tracekit.answers.collectives import Collectives, Straggler
from tracekit.answers.devices import Devices
from tracekit.answers.idle import IdleTime
from tracekit.answers.kernels import Kernels
from tracekit.attribution.reasons.names import HOST_REASONS, Reason
from tracekit.records import Record
from tracekit.report.many.runs import Side
from tracekit.results.figures.chart import shorten
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration, share
from tracekit.taxonomy import Category

COMPUTE, COPIES = "compute", "copies and memsets"
DATA, HOST, OTHER = "data loading", "host launches later", "other idle time"
EXPOSED = "exposed communication"
OWN = (COMPUTE, COPIES, DATA, HOST, OTHER)  # what a rank does itself, not for others
MEASURED: dict[str, str] = {
    COMPUTE: "Time in which a kernel other than communication ran, beyond the median of the ranks.",
    COPIES: "Time in which only copies and memsets ran, beyond the median.",
    DATA: "Idle time in which the launching thread was loading data, beyond the median.",
    HOST: "Idle time in which the next work was not launched yet for any other reason of the host, "
    "beyond the median.",
    OTHER: "Idle time with the next work launched, or for a reason that the file does not hold, "
    "beyond the median.",
    EXPOSED: "Time in which only communication ran, beyond the median: transfer, and waiting for "
    "others.",
}
LEAST = 0.01  # of the window: less sets nobody apart
EXPLAINS = 0.5  # of what others wait: a cause that explains less is not said to be it
SAME_WORK = 0.02  # ranks whose numbers of kernels differ by less launch the same
EVERYWHERE = 0.8  # of the compute time: slower in so much of it is no matter of one kernel
MOST = 8


class Apart(Record, frozen=True):
    """One rank against the median of all: ns more (or less) of each part of its window."""

    name: str
    place: int
    window_ns: float
    more: dict[str, float]
    cause: str  # of what it has more of; "" where nothing stands out

    @property
    def size(self) -> float:
        """How far it is from the middle, in ns."""
        return max((abs(ns) for ns in self.more.values()), default=0.0)

    @property
    def largest(self) -> str:
        """What it does itself and has most more of."""
        return max(OWN, key=lambda part: self.more.get(part, 0.0))


def read(many: Sequence[Side]) -> list[Apart]:
    """Each rank; empty where one of them has no device events."""
    parts = [_parts(side) for side in many]
    known = [own for own in parts if own is not None]
    if len(known) < len(many) or len(many) < 2:
        return []
    middle = {part: median(own[part] for own in known) for part in MEASURED}
    kernels = _Kernels(many)
    out = []
    for place, (side, own) in enumerate(zip(many, known, strict=True)):
        more = {part: own[part] - middle[part] for part in MEASURED}
        window = sum(own.values())
        out.append(Apart(side.name, place, window, more, _cause(place, kernels, more, window)))
    return out


def _parts(side: Side) -> dict[str, float] | None:
    """The window of its device, the mean of several; the parts add up to it."""
    devices, idle = side.one.get(Devices), side.one.get(IdleTime)
    if devices is None or not devices.rows:
        return None
    count = len(devices.rows)
    exposed = sum(row.exposed_communication_ns for row in devices.rows)
    waits: Counter[str] = Counter()
    for row in idle.reasons if idle is not None else ():
        waits[_kind(row.reason)] += row.ns
    idle_ns = sum(row.seen_idle_ns for row in devices.rows)
    sums = {
        COMPUTE: sum(row.kernel_ns for row in devices.rows) - exposed,
        COPIES: sum(row.memcpy_ns + row.memset_ns for row in devices.rows),
        DATA: waits[DATA], HOST: waits[HOST], OTHER: idle_ns - waits[DATA] - waits[HOST],
        EXPOSED: exposed,
    }  # fmt: skip
    return {part: ns / count for part, ns in sums.items()}


def _kind(reason: str) -> str:
    if reason == Reason.DATA:
        return DATA
    return HOST if reason in HOST_REASONS else OTHER


def _cause(place: int, kernels: _Kernels, more: dict[str, float], window: float) -> str:
    """A clause on what this rank has most more of."""
    part = max(more, key=lambda name: more[name])
    ns = more[part]
    if not window or ns < LEAST * window:
        return ""
    if part == EXPOSED:
        return f"waits for others {duration(ns)} longer than the median rank"
    if part == COMPUTE:
        return f"computes {duration(ns)} longer than the median rank, {kernels.why(place, ns)}"
    if part == DATA:
        return f"loads data {duration(ns)} longer than the median rank while its device is idle"
    if part == HOST:
        return (
            f"launches later: its device waits {duration(ns)} longer for the host than the median"
        )
    return f"has {duration(ns)} more of {part}"


class _Kernels:
    """The kernels of all ranks but those of communication: how many, and by name how long."""

    def __init__(self, many: Sequence[Side]) -> None:
        self.counts = [_count(side) for side in many]
        self.by_name = [_by_name(side) for side in many]
        shared = set.intersection(*(set(own) for own in self.by_name))
        self.usual = {name: median(own[name] for own in self.by_name) for name in shared}

    def why(self, place: int, ns: float) -> str:
        """Whether a rank computes more, or the same more slowly, and in which kernel."""
        usual, own = median(self.counts), self.by_name[place]
        if usual and abs(self.counts[place] / usual - 1) > SAME_WORK:
            more = self.counts[place] / usual - 1
            return f"with {share(abs(more), 0)} {'more' if more > 0 else 'fewer'} kernels"
        longer = {name: own[name] - usual_ns for name, usual_ns in self.usual.items()}
        whole = sum(own[name] for name in longer)
        slow = sum(own[name] for name, by in longer.items() if by > SAME_WORK * self.usual[name])
        if len(longer) > 1 and whole and slow >= EVERYWHERE * whole:
            return "its kernels slower, nearly all of them, as on a device with a lower clock"
        name = max(longer, key=lambda one: longer[one], default="")
        if not name or longer[name] <= EXPLAINS * ns:
            return "as many kernels, but slower"
        most = f"{duration(longer[name])} of it in {shorten(name)}"
        return f"as many kernels, but slower: {most}"


def _count(side: Side) -> int:
    found = side.one.get(Devices)
    return sum(r.kernel_count - r.communication_count for r in found.rows) if found else 0


def _by_name(side: Side) -> dict[str, float]:
    found = side.one.get(Kernels)
    out: Counter[str] = Counter()
    for row in found.rows if found is not None else ():
        if row.category not in (Category.COMMUNICATION, Category.MEMCPY, Category.MEMSET):
            out[row.name] += row.total_ns
    return dict(out)


# ---------------------------------------------------------------- how it is said


ADVICE = {
    COMPUTE: "Hold its kernels, and its device's clock, power and temperature, against another "
    "rank's; where it was given more work, divide that anew.",
    COPIES: "See what it copies that the others do not.",
    DATA: "Look at its loader and its storage: more workers, prefetching, a copy on its own disk.",
    HOST: "Look at its host: what else runs there, how fast its cores are, which call holds the "
    "launches.",
    OTHER: "Compare its idle stretches with another rank's.",
}
UNEXPLAINED = "Compare its trace with another rank's: tracekit compare."


def _explained(found: Sequence[Apart], straggler: Straggler) -> Apart | None:
    """The straggler, where what it has more of explains most of the waiting for it."""
    own = next((one for one in found if one.name == straggler.rank), None)
    if own is None or not own.cause:
        return None
    return own if own.more.get(own.largest, 0.0) >= EXPLAINS * straggler.held_ns else None


def advice(found: Sequence[Apart], straggler: Straggler) -> str:
    """What to do about the rank that holds the others up, by its cause."""
    own = _explained(found, straggler)
    return UNEXPLAINED if own is None else ADVICE[own.largest]


def sentence(found: Sequence[Apart], straggler: Straggler | None) -> str:
    """Who holds the job up and why; "" where nobody does, or it cannot be told."""
    if straggler is None:
        return ""
    own = _explained(found, straggler)
    if own is None:
        return f"{straggler.said}."
    name = straggler.rank[:1].upper() + straggler.rank[1:]
    return (
        f"{name} holds the others up: it {own.cause}. It comes last to {straggler.last_count:,} of "
        f"{straggler.count:,} collective calls; another rank waits "
        f"{duration(straggler.held_ns)} {straggler.within}."
    )


def grid(found: Sequence[Apart], calls: Collectives | None) -> Grid | None:
    """The ranks that are farthest from the middle, each with what it has more or less of."""
    last = {w.rank: w for w in (calls.waiting if calls is not None else ())}
    shown = sorted(found, key=lambda one: -one.size)
    kept = [one for one in shown if one.size >= LEAST * one.window_ns][:MOST]
    if not kept:
        return None
    columns = (
        Column("rank"), Column("cause", "text", "Of what it has most more of."),
        Column("came last", "count", "Collective calls in which others waited for it."),
        Column("waited", "ns", "In collectives, for ranks that came later."),
        *(Column(part, "ns", said) for part, said in MEASURED.items()),
    )  # fmt: skip
    rows = [
        (one.name, one.cause or "less than others of all",
         own.last_count if (own := last.get(one.name)) else None, own.waited_ns if own else None,
         *(one.more[part] for part in MEASURED))
        for one in kept
    ]  # fmt: skip
    left = len(found) - len(kept)
    note = "Times are against the median of the ranks: above it, or below it with a minus."
    note += f" {left} ranks that are nearer to it are left out." if left else ""
    return Grid("apart", "What sets ranks apart", columns, rows, note)


def apart(found: Iterable[Apart], count: int) -> list[float]:
    """[R] how far each rank is from the middle; all alike where that is not known."""
    sizes = [one.size for one in found]
    return sizes or [0.0] * count
