"""Ranks that were merged into one file, told apart: each becomes a trace of its own.

Every rank numbers its devices, streams and launches for itself, so an id says nothing without the
process that gave it. Mergers write the rank into the process ids (SGLang: `[TP00-DP01] 83`), add an
offset to them, or leave them as they are; then launches say whose device is whose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tracekit.patterns import later
from tracekit.records import Record, replace
from tracekit.trace.spans import segments
from tracekit.trace.trace import GPU_WORK, HOST, I64, Cat, Table, Trace

_NUMBER = later(r"\d+")
_RANKED = later(r"rank|\b[TDPE]P\d|^\d+$", re.IGNORECASE)
_NO_RANK = later(r"[\[\](){}<>:_#\s]+")
_OF_PROCESS = later(r"rank[\s_:#-]*(\d+)", re.IGNORECASE)
_APART = 500_000  # launches of two processes within this many ns are those of ranks in lockstep
_SKEW = 1_000  # ns by which work may seem to begin before its launch
_OFTEN = 0.02  # of a device's work that began before a process launched it: it is not of it
_FAR = (
    1_000  # no process has as many devices: numbers of devices this far apart had something added
)
_MOST = 1024  # processes of one file that are told apart by their launches


def named(rank: str | None, what: str = "") -> str:
    """`what` of a rank: 'rank TP00-DP01, device 0'; the rank alone where there is no `what`."""
    if rank is None:
        return what
    said = rank if rank.startswith(("rank", "process")) else f"rank {rank}"
    return f"{said}, {what}" if what else said


def split(trace: Trace) -> tuple[Trace, ...]:
    """One trace for each rank of the file, by name; the trace itself where it holds one.

    The parts keep the time, the names and the ids of the whole; `source.rank` says which they are.
    """
    return trace.once("ranks", lambda: _split(trace))


def whole(trace: Trace) -> Trace:
    """The file that a trace is one rank of; the trace itself where it is none."""
    tables = trace.source.reread
    return tables.trace if isinstance(tables, _Tables) else trace


class _Owners(Record, frozen=True):
    """Who owns what of a file of several ranks."""

    names: tuple[str, ...]
    processes: Mapping[int, int]  # the rank of a process
    row: I64  # [N] the rank of each slice
    devices: Mapping[int, int]  # the number of the device that a process named by text stands for
    guessed: bool = False  # which device is whose


def _split(trace: Trace) -> tuple[Trace, ...]:
    if trace.source.rank is not None or not len(trace):
        return (trace,)
    owners = _one_each(trace) or _by_text(trace) or _by_offsets(trace) or _by_launches(trace)
    if owners is None:
        return (trace,)
    return tuple(_part(trace, owners, number) for number in range(len(owners.names)))


# ---------------------------------------------------------------- by processes that hold it all


def _one_each(trace: Trace) -> _Owners | None:
    """Processes that have both calls and work, where all work is in such: whoever merged the files
    gave each rank one process id for its host and its devices.
    """
    calls = trace.of(Cat.RUNTIME)
    pids = _distinct(trace.of(*GPU_WORK).pid)
    if not 1 < len(pids) <= _MOST or not set(pids) <= set(
        _distinct(calls.pid[calls.correlation > 0])
    ):
        return None
    labels = trace.source.labels
    said = {pid: _name(labels[pid]) if pid in labels else _of_process(trace, pid) for pid in pids}
    pids = sorted(pids, key=lambda pid: _natural(said[pid]))
    processes = dict.fromkeys(_distinct(trace.pid), 0) | {pid: i for i, pid in enumerate(pids)}
    numbers = {pid: 0 for pid in pids if pid in labels}
    names = tuple(said[pid] for pid in pids)
    return _Owners(names, processes, _mapped(trace.pid, processes), numbers)


# ---------------------------------------------------------------- by the text of process ids


def _by_text(trace: Trace) -> _Owners | None:
    texts = {code: text for code, text in trace.source.labels.items() if _NUMBER.search(text)}
    if not texts:
        return None
    pids = _distinct(trace.pid)
    work = set(_distinct(trace.of(*GPU_WORK).pid))
    host = set(_distinct(trace.pid[trace.is_(*HOST)]))
    for which in (-1, 0):  # the process' own number is the last in the text, or the first
        known = {pid: _template(texts.get(pid, str(pid)), which) for pid in pids
                 if pid in texts or pid not in trace.source.labels}  # fmt: skip
        if _are_ranks(known, work, host):
            return _of_templates(trace, known, pids, host)
    return None


def _template(text: str, which: int) -> tuple[str, int]:
    """A text with one of its numbers taken out, and that number."""
    found = list(_NUMBER.finditer(text))[which]
    return f"{text[: found.start()]}#{text[found.end() :]}", int(found[0])


def _are_ranks(known: Mapping[int, tuple[str, int]], work: set[int], host: set[int]) -> bool:
    """Whether what is left of the texts names ranks: each has a host and a device of its own."""
    working = {known[pid][0] for pid in work if pid in known}
    hosting = {known[pid][0] for pid in host if pid in known}
    if not working:
        return len(hosting) > 1 and all(_RANKED.search(_name(one)) for one in hosting)
    return len(working) > 1 and (working <= hosting or not hosting)


def _name(template: str) -> str:
    return _NO_RANK.sub(" ", template).strip().removesuffix("pid").strip(" -,.")


def _of_templates(
    trace: Trace, known: Mapping[int, tuple[str, int]], pids: list[int], host: set[int]
) -> _Owners:
    used = {template for pid, (template, _) in known.items() if pid in host or pid in pids}
    # a process without a rank in its id, of its number alone
    plain = next((known[pid][1] for pid in sorted(host) if known.get(pid, ("",))[0] == "#"), 0)
    names = {one: _name(one) or f"process {plain}" for one in used}
    order = sorted(used, key=lambda one: (one != "#", _natural(f"{names[one]} {one}")))
    place = {template: i for i, template in enumerate(order)}
    processes = {pid: place[template] for pid, (template, _) in known.items()}
    for pid in pids:
        if pid not in processes:  # "[TP00] Spans"
            text = trace.source.labels.get(pid, "")
            near = [i for one, i in place.items() if one.split("#")[0].strip()
                    and text.startswith(one.split("#")[0].strip())]  # fmt: skip
            processes[pid] = near[0] if near else 0
    numbers = {pid: number for pid, (_, number) in known.items() if pid in trace.source.labels}
    row = _mapped(trace.pid, processes)
    return _Owners(tuple(names[one] for one in order), processes, row, numbers)


def _natural(text: str) -> list[str]:
    """Sorts numbers in a text as numbers."""
    return [part.zfill(12) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


# ---------------------------------------------------------------- by what was added to their ids


def _by_offsets(trace: Trace) -> _Owners | None:
    """Devices whose process ids are numbers of devices plus a number for each rank.

    host   83  100083  200090       each at or above its own devices, and below those of the
    device  0  100000  200000       next; or as far above them as the other ranks are
    """
    gpu = trace.of(*GPU_WORK)
    pids, hosts = _distinct(gpu.pid), _launching(trace)
    if len(pids) < 2 or len(hosts) < 2 or any(pid in trace.source.labels for pid in pids + hosts):
        return None
    opens = [pid for pid, before in zip(pids, [pids[0] - _FAR, *pids], strict=False)
             if pid - before >= _FAR]  # fmt: skip
    base = np.array(opens, np.int64)
    width = int(np.diff(base).min()) if len(base) > 1 else 0
    if not width or max(pids) - base[-1] >= width:
        return None
    number = np.array(hosts, np.int64)
    place = np.searchsorted(base, number, side="right") - 1
    above = np.where(place >= 0, number - base[np.maximum(place, 0)], width)
    if above.max() >= width or len(np.unique(place)) < len(base):
        if len(hosts) != len(base) or np.ptp(number - base) >= width / 2:
            return None
        place = np.arange(len(base))
    processes = {pid: int(np.searchsorted(base, pid, side="right")) - 1 for pid in pids}
    processes |= dict(zip(hosts, place.tolist(), strict=True))
    for pid in _distinct(trace.pid):
        processes.setdefault(pid, max(int(np.searchsorted(base, pid, side="right")) - 1, 0))
    first = [min(h for h, own in zip(hosts, place, strict=True) if own == i)
             for i in range(len(base))]  # fmt: skip
    names = tuple(_of_process(trace, pid) for pid in first)
    return _Owners(names, processes, _mapped(trace.pid, processes), {})


def _launching(trace: Trace) -> list[int]:
    """Processes with a call that carries an id, ascending; no device."""
    calls = trace.of(Cat.RUNTIME)
    gpu = set(_distinct(trace.of(*GPU_WORK).pid))
    return sorted(set(_distinct(calls.pid[calls.correlation > 0])) - gpu)


# ---------------------------------------------------------------- by who launched what


def _by_launches(trace: Trace) -> _Owners | None:
    calls, gpu = trace.of(Cat.RUNTIME), trace.of(*GPU_WORK)
    launching, hosts = calls.correlation > 0, _launching(trace)
    if not len(gpu) or not 1 < len(hosts) <= _MOST:
        return None
    delay = np.stack([_delay(calls, launching & (calls.pid == host), gpu) for host in hosts])
    key = np.unique(np.stack([gpu.pid, gpu.device.astype(np.int64)]), axis=1, return_inverse=True)
    owner, guessed = _owner(delay, key[1].reshape(-1), gpu)
    if len(np.unique(owner)) < 2:
        return None
    processes = dict.fromkeys(_distinct(trace.pid), 0)
    for place, pid in enumerate(hosts):
        processes[pid] = place
    for pid in _distinct(gpu.pid):
        processes[pid] = int(owner[np.argmax(gpu.pid == pid)])
    row = _mapped(trace.pid, processes)
    row[trace.is_(*GPU_WORK)] = owner
    return _Owners(tuple(_of_process(trace, pid) for pid in hosts), processes, row, {}, guessed)


def _of_process(trace: Trace, pid: int) -> str:
    said = _OF_PROCESS.search(trace.source.processes.get(pid, ""))
    return said[1] if said else f"process {pid}"


def _delay(calls: Trace, mine: npt.NDArray[np.bool_], gpu: Trace) -> npt.NDArray[np.float64]:
    """[G] ns from the last call of a process with the correlation of each work, up to the work's
    start, to that start; negative where all such calls come later, NaN where there is none.
    """
    found = last_before(calls.correlation[mine], calls.ts[mine], gpu.correlation, gpu.ts)
    start = calls.ts[mine][np.maximum(found, 0)] if mine.any() else gpu.ts
    known = (found >= 0) & (gpu.correlation > 0)
    return np.where(known, (gpu.ts - start).astype(float), np.nan)


def last_before(key: I64, at: I64, wanted: I64, when: I64) -> I64:
    """[M] for each wanted key, the index of the last entry of that key that is no later than
    `when`, else of the first of that key, else -1. `at` is sorted.
    """
    if not len(key) or not len(wanted):
        return np.full(len(wanted), -1, np.int64)
    order = segments.order(key)  # by key, then by time
    ordered = key[order]
    low = segments.places(ordered, wanted)
    found = np.where(low >= 0, order[low], -1)
    again = ordered[1:] == ordered[:-1]
    if not again.any():
        return found
    # time counts where a key has several entries
    several = np.append(again, False)
    asked = np.flatnonzero((found >= 0) & several[low])
    code = np.cumsum(np.append(True, ~again))
    # time as the number of entries no later, so that key and time fit one number
    stacked = code * (len(key) + 1) + order
    place = np.searchsorted(at, when[asked], side="right")
    until = np.searchsorted(stacked, code[low[asked]] * (len(key) + 1) + place) - 1
    found[asked] = order[np.maximum(until, low[asked])]
    return found


def _owner(delay: npt.NDArray[np.float64], key: I64, gpu: Trace) -> tuple[I64, bool]:
    """[G] which process issued each work, and whether that is a guess.

    Where ids alone do not tell, a device belongs to the process whose launches come just before its
    work; where there are fewer devices than processes, each work for itself.

    Shapes: delay [P, G]; key [G] numbers the devices.
    """
    known = ~np.isnan(delay)
    # work before its launch is no work of it, but for a little skew of the clocks
    cost = np.where(known, np.where(delay >= 0, delay, 1e6 - 8 * delay), np.inf)
    owner = np.where(known.any(axis=0), cost.argmin(axis=0), -1)
    shared = known.sum(axis=0) > 1
    several = np.unique(key[shared])
    if len(several) >= len(delay):
        guessed = _devices_of_processes(cost, delay, key, several, shared, owner)
    else:
        _in_turn(delay, gpu, shared, owner)
        guessed = _in_lockstep(cost, owner, shared)
    stream = np.unique(np.stack([key, gpu.stream]), axis=1, return_inverse=True)[1].reshape(-1)
    for group in (stream, key, key * 0):
        for number in np.unique(group[owner < 0]):
            mine = (group == number) & (owner >= 0)
            if mine.any():
                owner[(group == number) & (owner < 0)] = np.bincount(owner[mine]).argmax()
    return np.maximum(owner, 0), guessed


def _devices_of_processes(
    cost: npt.NDArray[np.float64], delay: npt.NDArray[np.float64], key: I64, several: I64,
    shared: npt.NDArray[np.bool_], owner: I64,
) -> bool:  # fmt: skip
    """Write into `owner` [G] the process of the shared work of each device of `several`; whether
    it is a guess.

    No process launches work that has begun before; then what comes within _APART of the nearest
    launch could as well be of it, and numbers of ranks and of devices rise together.
    """
    count = len(cost)
    median = np.array([np.median(np.minimum(cost[:, key == k], 1e18), axis=1) for k in several])
    early = np.array([np.mean(~(delay[:, (key == k) & shared] > -_SKEW), axis=1) for k in several])
    early = np.where(early - early.min(axis=1, keepdims=True) >= _OFTEN, early, 0.0)
    late = median - np.where(early > 0, np.inf, median).min(axis=1, keepdims=True)
    late = np.where(late >= _APART, late, 0.0)
    place = np.abs(np.arange(count)[None, :] - np.arange(len(several))[:, None])
    price = early * 1e18 + late + place * 1e-3
    free, guessed = np.ones(count, bool), False
    ordered = np.sort(price, axis=1)
    for at in np.argsort(ordered[:, 0] - ordered[:, 1], kind="stable"):
        own = np.where(free, price[at], np.inf) if free.any() else price[at]
        chosen = int(np.argmin(own))
        # as good by time, and not taken by a device that was surer
        as_good = (early[at] <= early[at, chosen]) & (late[at] <= late[at, chosen]) & free
        guessed |= bool(as_good.sum() > 1) or not free[chosen]
        free[chosen] = False
        owner[(key == several[at]) & shared] = chosen
    return guessed


def _in_turn(
    delay: npt.NDArray[np.float64], gpu: Trace, shared: npt.NDArray[np.bool_], owner: I64
) -> None:
    """Where each process launched an id and there is as much work of it: the first is the first's.

    Written into `owner` [G]; delay [P, G].
    """
    rows = np.flatnonzero(shared)
    _, which, count = np.unique(gpu.correlation[rows], return_inverse=True, return_counts=True)
    order = np.lexsort((gpu.ts[rows], which))
    first = np.cumsum(count) - count
    turn = np.empty(len(rows), np.int64)
    turn[order] = np.arange(len(rows)) - first[which[order]]
    even = (count[which] == len(delay)) & ~np.isnan(delay[:, rows]).any(axis=0)
    by_launch = np.argsort(gpu.ts[rows] - delay[:, rows], axis=0, kind="stable")
    owner[rows[even]] = by_launch[turn[even], np.flatnonzero(even)]


def _in_lockstep(cost: npt.NDArray[np.float64], owner: I64, shared: npt.NDArray[np.bool_]) -> bool:
    """Whether most works of some process could as well be another's. cost [P, G]; owner, shared [G]

    `shared` work has an id that several processes launched.
    """
    apart = np.diff(np.sort(cost[:, shared], axis=0)[:2], axis=0)[0]
    of = owner[shared]
    return any(bool(np.median(apart[of == one]) < _APART) for one in np.unique(of))


# ---------------------------------------------------------------- parts


def _part(trace: Trace, owners: _Owners, number: int) -> Trace:
    rows = np.flatnonzero(owners.row == number)
    source = replace(
        trace.source,
        rank=owners.names[number],
        rank_guessed=owners.guessed,
        reread=_Tables(trace, owners, number),
    )
    part = replace(trace.where(rows), source=source, tables={}, memo={})
    if not (part.device < -1).any():
        return part
    device = part.device.copy()
    for pid, own in owners.devices.items():
        if 0 <= own < 1 << 31:  # no device has a larger number: it keeps the one it has
            device[(part.pid == pid) & (device < -1)] = own
    device.flags.writeable = False
    return replace(part, device=device, memo={})


class _Tables(Record, frozen=True, eq=False):
    """The side tables of one rank, from those of the whole file."""

    trace: Trace
    owners: _Owners
    number: int

    def __call__(self, names: frozenset[str]) -> Mapping[str, Table]:
        return {name: self._own(self.trace.table(name)) for name in names}

    def _own(self, table: Table) -> Table:
        if not len(table):
            return table
        if (table.id >= 0).any():
            keep = self.owners.row[table.id] == self.number
        else:
            keep = _mapped(table.columns["pid"], self.owners.processes) == self.number
        return table.where(keep)


def _distinct(column: I64) -> list[int]:
    """The distinct values, ascending: most columns of ids hold few, in long runs."""
    if not len(column):
        return []
    ends = np.flatnonzero(column[1:] != column[:-1])
    return sorted({*column[ends].tolist(), int(column[-1])})


def _mapped(column: I64, owner: Mapping[int, int]) -> I64:
    """[N] the owner of each value, 0 where it has none."""
    values, index = np.unique(column, return_inverse=True)
    found = np.array([owner.get(int(value), 0) for value in values], np.int64)
    return np.asarray(found[index.reshape(-1)])
