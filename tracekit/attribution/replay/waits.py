"""What calls and streams waited for: by records (`cuda_sync`) where there are, else by times."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.replay.submitted import Submitted, told
from tracekit.attribution.replay.timing import Timing, submitted
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Ints, Mask, Trace

# a call that waits for all streams of a device, by its name
ALL_STREAMS = r"(?i:device_?synchroni[sz]e|ctx_?synchroni[sz]e|context)|^synchronize$"
EVENT_CALL = r"(?i:event)"
# work that begins within this of the end of other work was held back by it
NEAR_NS = 20_000


class Targets(Record, frozen=True, eq=False):
    """K pairs: a call, and work that had to end before it returned."""

    call: I64  # row of `links.calls`
    work: I64  # row of `links.work`
    after: I64  # ns from the end of the work to the return
    cost: I64  # [R] what a call takes where there is nothing to wait for
    lag: I64  # [R] of a call's return, later than is usual after the end of the work


def targets(trace: Trace, times: Timing, waiting: Mask, sent: Submitted) -> Targets:
    """What each call that waits (`waiting`, [R]) and each copy that blocks waited for."""
    calls, gpu = links.calls(trace), links.work(trace)
    pairs: list[tuple[int, int]] = []
    of_call = _records(trace)
    everything = calls.named(ALL_STREAMS)
    event = calls.named(EVENT_CALL)
    devices = _devices(trace)
    for row in np.flatnonzero(waiting).tolist():
        begin, end = int(calls.ts[row]), int(calls.end[row])
        if row in of_call:
            found = _recorded(trace, of_call[row], sent, begin, end)
        else:
            mine = devices.get(int(calls.pid[row]), set(sent.device.values()))
            streams = [s for s in sent.streams if sent.device[s] in mine]
            found = [at for s in streams if (at := sent.last(s, begin, end)) >= 0]
            if found and not everything[row]:
                one = max(found, key=lambda at: int(gpu.end[at]))
                # an event may be of any time: only a wait says which
                found = [] if event[row] and gpu.end[one] <= begin else [one]
        pairs += [(row, at) for at in found]
    copies = np.flatnonzero(times.blocks)
    launch = links.launch_row(trace)
    own = np.flatnonzero((launch >= 0) & np.isin(launch, copies))
    pairs += list(zip(launch[own].tolist(), own.tolist(), strict=True))
    both = np.array(pairs, np.int64).reshape(-1, 2)
    return _measured(trace, times, waiting, both[:, 0], both[:, 1])


def _devices(trace: Trace) -> dict[int, set[int]]:
    """By process, the devices it launches on."""
    launch, gpu = links.launch_row(trace), links.work(trace)
    rows = launch >= 0
    pairs: list[Ints] = [links.calls(trace).pid[launch[rows]], gpu.device[rows]]
    out: dict[int, set[int]] = {}
    for pid, device in segments.distinct(pairs)[0].tolist():
        out.setdefault(pid, set()).add(device)
    return out


def _records(trace: Trace) -> dict[int, int]:
    """Row of `links.calls` of a wait on the host: the row of the trace that records it."""
    kinds = np.flatnonzero(trace.is_(Cat.SYNC) & ~trace.named("Wait"))
    if not len(kinds):
        return {}
    numbers, first = segments.firsts(links.calls(trace).correlation)
    by_number = dict(zip(numbers.tolist(), first.tolist(), strict=True))
    return {
        by_number[number]: row
        for row in kinds.tolist()
        if (number := int(trace.correlation[row])) in by_number and number > 0
    }


def _recorded(trace: Trace, record: int, sent: Submitted, begin: int, end: int) -> list[int]:
    """The work that a `cuda_sync` record of the host says: of an event, a stream, a device."""
    name, device = trace.text(record), int(trace.device[record])
    if "Event" in name:
        stream, number = _event(trace, record)
        when = _recorded_at(trace).get(number)
        own = sent.number.get((device, stream))
        found = [sent.last(own, when, end)] if own is not None and when is not None else []
    elif "Stream" in name:
        own = sent.number.get((device, int(trace.stream[record])))
        found = [sent.last(own, begin, end)] if own is not None else []
    else:
        found = [sent.last(s, begin, end) for s in sent.streams if sent.device[s] == device]
    return [at for at in found if at >= 0]


def _event(trace: Trace, record: int) -> tuple[int, int]:
    """The stream on which the awaited event was recorded, and the id of the call that did."""
    table, ids = trace.table("syncs"), trace.id[record : record + 1]
    stream = table.take(ids, "wait_stream", -1)
    number = table.take(ids, "wait_event_correlation", -1)
    return int(stream[0]), int(number[0])


def _recorded_at(trace: Trace) -> dict[int, int]:
    """By correlation id, when the host recorded an event."""

    def make() -> dict[int, int]:
        calls = links.calls(trace)
        rows = calls.named("EventRecord")
        return dict(zip(calls.correlation[rows].tolist(), calls.ts[rows].tolist(), strict=True))

    return trace.once("replay records", make)


def _measured(trace: Trace, times: Timing, waiting: Mask, call: I64, work: I64) -> Targets:
    """How long after the end of the work calls return, and what they take without any."""
    calls, gpu = links.calls(trace), links.work(trace)
    after = calls.end[call] - gpu.end[work]
    held = gpu.end[work] > calls.ts[call]
    done = np.full(len(calls), np.iinfo(np.int64).min)
    np.maximum.at(done, call, gpu.end[work])
    waited = done > calls.ts
    rest = np.where(waited, calls.end - done, calls.dur)
    cost, usual = rest.copy(), rest.copy()
    for name in segments.sorted_unique(calls.name[call]).tolist():
        own = calls.name == name
        late = own & waited & (waiting | times.blocks)
        early = own & ~waited & waiting
        if late.any():
            usual[own] = round(float(np.median(rest[late])))
        if early.any():
            cost[late] = np.minimum(round(float(np.median(calls.dur[early]))), calls.dur[late])
    # what waited returns as long after as it did, whichever of several streams is the last; what
    # did not would, as those that did
    after = np.where(held, rest[call], np.minimum(usual[call], after))
    lag = np.where(waited & (rest > NEAR_NS + 3 * usual), rest - usual, 0)
    return Targets(call, work, np.asarray(after), cost, np.asarray(lag))


class Events(Record, frozen=True, eq=False):
    """K pairs of rows of `links.work` on two streams: the second waits for the first."""

    one: I64
    two: I64
    after: I64  # ns from the end of the first to the start of the second, where nothing else is
    recorded: Mask  # [K] by a record; else inferred


def events(trace: Trace, times: Timing, sent: Submitted) -> Events:
    """Waits of streams for one another."""
    gpu = links.work(trace)
    behind = np.where(times.previous >= 0, gpu.end[times.previous] + times.gap, 0)
    base = np.maximum(submitted(trace, times.submit) + times.latency, behind)
    known, seen = _recorded_events(trace, times, sent)
    told = _inferred(trace, times, sent, seen)
    late = _late(trace, base, {two for _, two in (*known, *told)}) if len(sent.streams) > 1 else []
    both = np.array([*known, *told, *late], np.int64).reshape(-1, 2)
    recorded = np.arange(len(both)) < len(known)
    after = gpu.ts[both[:, 1]] - gpu.end[both[:, 0]]
    last = np.full(len(gpu), -1, np.int64)  # of several only the last to end held it back
    np.maximum.at(last, both[:, 1], gpu.end[both[:, 0]])
    held = (after <= NEAR_NS) & (gpu.ts[both[:, 1]] > base[both[:, 1]])
    held &= gpu.end[both[:, 0]] == last[both[:, 1]]
    usual = round(float(np.median(after[held]))) if held.any() else 0
    after = np.where(held, after, np.minimum(after, usual))
    return Events(both[:, 0], both[:, 1], np.asarray(after), recorded)


def _recorded_events(
    trace: Trace, times: Timing, sent: Submitted
) -> tuple[list[tuple[int, int]], set[int]]:
    """Pairs by the records of streams' waits, and the calls (by correlation id) they are of."""
    gpu, calls = links.work(trace), links.calls(trace)
    waits = calls.named("StreamWaitEvent")
    when = dict(zip(calls.correlation[waits].tolist(), calls.ts[waits].tolist(), strict=True))
    pairs, seen = [], set()
    for row in np.flatnonzero(trace.is_(Cat.SYNC) & trace.named("Wait")).tolist():
        number = int(trace.correlation[row])
        seen.add(number)
        other, event = _event(trace, row)
        device = int(trace.device[row])
        mine = sent.number.get((device, int(trace.stream[row])))
        theirs = sent.number.get((device, other))
        recorded = _recorded_at(trace).get(event)
        if mine is None or theirs is None or recorded is None or mine == theirs:
            continue
        one = sent.last(theirs, recorded, int(trace.end.max()))
        two = sent.next(mine, when.get(number, int(trace.ts[row])))
        if one >= 0 and two >= 0 and gpu.end[one] <= gpu.ts[two]:
            pairs.append((one, two))
    return pairs, seen


def _inferred(
    trace: Trace, times: Timing, sent: Submitted, seen: set[int]
) -> list[tuple[int, int]]:  # fmt: skip
    """Pairs by times, where a thread told a stream to wait before a launch and nothing says which.

    As many streams as it told to wait for, of those whose work was submitted before and had ended:
    the last to end.
    """
    gpu, stream = links.work(trace), links.stream(trace)
    if len(sent.streams) < 2:
        return []
    pairs = []
    for row, when, count in told(trace, seen):
        mine = int(stream[row])
        found = [
            at for s in sent.streams
            if s != mine and sent.device[s] == gpu.device[row]
            and (at := sent.last(s, when, int(gpu.ts[row]))) >= 0
        ]  # fmt: skip
        found.sort(key=lambda at: -int(gpu.end[at]))
        pairs += [(at, row) for at in found[:count]]
    return pairs


def _late(trace: Trace, base: I64, known: set[int]) -> list[tuple[int, int]]:
    """Pairs by times alone: work much later than its own stream and launch say (`base`, [G]), but
    right after work of another stream of the device."""
    gpu, stream = links.work(trace), links.stream(trace)
    pairs = []
    for device in trace.devices:
        mine = np.flatnonzero(gpu.device == device)
        by_end = mine[np.argsort(gpu.end[mine], kind="stable")]
        ends = gpu.end[by_end]
        for row in mine[gpu.ts[mine] - base[mine] > NEAR_NS].tolist():
            at = int(np.searchsorted(ends, gpu.ts[row], side="right")) - 1
            one = int(by_end[at]) if at >= 0 else row
            near = gpu.ts[row] - gpu.end[one] <= NEAR_NS
            if row not in known and stream[one] != stream[row] and near:
                pairs.append((one, row))
    return pairs
