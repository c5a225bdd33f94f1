"""A trace in memory: read-only numpy columns, one row per slice."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Mapping
from enum import IntEnum
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import field

from tracekit import kept
from tracekit.patterns import Words, is_plain
from tracekit.records import Record
from tracekit.trace.snapshot import Snapshot
from tracekit.trace.tables.table import TABLES as TABLES
from tracekit.trace.tables.table import Table as Table

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.integer[Any]]  # of any width
T = TypeVar("T")
Pattern = str | re.Pattern[str] | Words


class Cat(IntEnum):
    """What kind of thing a slice is."""

    OTHER = 0
    CPU_OP = 1  # cpu_op, Operator
    RUNTIME = 2  # cuda_runtime, cuda_driver, Runtime: HIP calls are filed here too
    KERNEL = 3
    MEMCPY = 4
    MEMSET = 5
    ANNOTATION = 6  # user_annotation
    GPU_ANNOTATION = 7  # gpu_user_annotation: the profiler's own projection, never work
    PYTHON = 8  # python_function
    OVERHEAD = 9
    SYNC = 10  # cuda_sync: waiting drawn on a stream, never work


GPU_WORK = (Cat.KERNEL, Cat.MEMCPY, Cat.MEMSET)
HOST = (Cat.CPU_OP, Cat.RUNTIME, Cat.ANNOTATION, Cat.PYTHON)


class Loss(Record, frozen=True):
    """A part of the file that could not be used."""

    what: str
    at_byte: int | None = None  # in the uncompressed text
    bytes_lost: int | None = None  # None where the rest of the file is unknown
    events_lost: int | None = None
    events_kept: int | None = None


class Unknown(Record, frozen=True):
    """Slices of one process and of a category that is not known: they are in no answer."""

    category: str  # the file's own; "" where it gives none
    process: str
    count: int
    ns: int  # the time that they cover on each track, added up over tracks
    on_host: bool  # all lie on threads that have ops, annotations or Python frames


class Source(Record, frozen=True):
    """Where a trace came from, and what its file says beside the slices."""

    path: str
    bytes: int = 0  # as stored
    text_bytes: int = 0  # uncompressed
    meta: Mapping[str, Any] = field(default_factory=dict)  # top-level keys but traceEvents
    processes: Mapping[int, str] = field(default_factory=dict)  # process_name by pid
    threads: Mapping[tuple[int, int], str] = field(default_factory=dict)  # by (pid, tid)
    labels: Mapping[int, str] = field(default_factory=dict)  # pids and tids that were text
    events: Mapping[str, int] = field(default_factory=dict)  # count by ph
    cats: Mapping[str, int] = field(default_factory=dict)  # slices by the file's own category
    losses: tuple[Loss, ...] = ()
    rank: str | None = None  # of a file of several: which of them this trace is
    stated_rank: int | None = None  # of a job of several files, as the user says it
    rank_guessed: bool = False  # launches of ranks in lockstep do not say whose device is whose
    unknown: tuple[Unknown, ...] = ()  # the longest first
    snapshot: Snapshot | None = None  # of a file that holds one in the place of slices
    # reads side tables from the file again: (names) -> {name: Table}
    reread: Callable[[frozenset[str]], Mapping[str, Table]] | None = None
    captures: tuple[GraphCapture, ...] = ()  # traces in which its graphs may have been captured
    model: GivenModel | None = None  # the model that ran, as the user says
    device: str | None = None  # the device that ran, as the user says: see `roofline.devices`


class GivenModel(Record, frozen=True):
    """A model that the user names: whether the trace is of it, `attribution` judges."""

    name: str  # as the user wrote it
    config: Mapping[str, Any]  # as a config.json of Hugging Face has it
    tp: int | None = None  # ranks that share its weights; None: as the trace says


class GraphCapture(Record, frozen=True, eq=False):
    """Another trace, in which graphs that this one replays may have been captured."""

    trace: Trace
    given: bool  # named by the user; else found beside this one


COLUMNS = (
    "ts", "dur", "name", "cat", "pid", "tid", "device", "stream", "correlation", "id",
)  # fmt: skip

_SHARED = ("source", "strings", "origin_ns", "tables")  # by a trace and its selections
_FIELDS = (*_SHARED, "memo", "aside")
_FEW = 8  # names

# bytes that what was computed of a large trace may take: less than its columns do
_LARGE = 1_000_000  # slices
_ROOM, _ROOM_A_SLICE, _LIGHT = 400 << 20, 110, 1 << 20
_PICKED = 24  # of a row of a selection: its number, and of the columns start, length and name
_HEAVY = "what is heavy"
_ANSWERS = (("answer",), ("answer of a rank",))
_ABSENT: Any = object()


def _bytes(value: object, own: frozenset[int], depth: int = 4) -> int:
    """Of the arrays that a value holds, about; one that is there twice counts twice.

    Those whose `id` is in `own` are there anyway.
    """
    if isinstance(value, np.ndarray):
        return 0 if id(value) in own else value.nbytes
    if not depth or value is None or isinstance(value, str | int | float):
        return 0
    if isinstance(value, dict):
        return 100 * len(value) if len(value) > 1000 else _bytes(list(value.values()), own, depth)
    if isinstance(value, tuple | list | set):
        if len(value) > 1000:
            return 40 * len(value)
        return sum(_bytes(one, own, depth - 1) for one in value)
    if isinstance(value, Trace):
        if value.picked is not None:
            return max(_PICKED * len(value), value.picked[1].nbytes + value.taken)
        return sum(_bytes(column, own) for _, column in value._present())
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    held = [getattr(value, name, None) for name in slots]
    held += getattr(value, "__dict__", {}).values()
    return sum(_bytes(one, own, depth - 1) for one in held)


def _grown(value: object) -> int | None:
    """Bytes of a selection, which takes columns as they are asked for; None of what else is."""
    return _bytes(value, frozenset()) if isinstance(value, Trace) else None


def empty(source: Source) -> Trace:
    """A trace without slices."""
    whole, short = np.empty(0, np.int64), np.empty(0, np.int32)
    return Trace(
        source, (), 0, ts=whole, dur=whole, name=short, cat=np.empty(0, np.uint8), pid=whole,
        tid=whole, device=short, stream=whole, correlation=whole, id=short,
    )  # fmt: skip


def _bare(values: Mapping[str, Any]) -> Trace:
    """A trace that has these fields, and perhaps not all."""
    made = object.__new__(Trace)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def _closed(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same, but read-only."""
    column.flags.writeable = False
    return column


class Tracks(Protocol):
    """What stands for columns that a large trace of N slices does not have: `columns.tracks`."""

    @property
    def track(self) -> npt.NDArray[np.int16]:
        """[N] a number that slices share where they lie at one place."""

    @property
    def places(self) -> I64:
        """[T, 4] pid, tid, device and stream of each; each is met."""

    @property
    def names(self) -> frozenset[str]:
        """Of the columns."""

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""

    def column(self, name: str, rows: Ints | None = None) -> npt.NDArray[Any]:
        """[N] the column, or [K] at these rows."""


class Aside(Record, frozen=True, eq=False):
    """Records of one kind that cannot be true, as they stand in the file."""

    what: str  # they have, in words
    rows: Trace
    cut: bool  # they are in the trace still, but shorter


@dataclasses.dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Trace:
    """Columns of N slices, sorted by start, the longer first; all arrays are read-only.

    Times are int64 ns from `origin_ns`, the first slice of the file.
    """

    source: Source
    strings: tuple[str, ...]  # distinct names
    origin_ns: int  # absolute ns of ts 0, exact
    ts: I64
    dur: I64
    name: I32  # index into strings
    cat: npt.NDArray[np.uint8]  # Cat
    pid: I64
    tid: I64
    device: I32  # of GPU work; -1 on the host
    stream: I64  # of GPU work; -1 on the host and where unknown
    correlation: I64  # shared by a launch and the work it issued; -1 where there is none
    id: I32  # the row in the whole trace; survives a selection
    # shared by selections
    tables: dict[str, Table] = dataclasses.field(default_factory=dict, repr=False)
    memo: dict[Any, Any] = dataclasses.field(default_factory=dict, repr=False)
    aside: tuple[Aside, ...] = ()  # what was impossible in it: see impossible.py
    # of a selection: the rows of which trace it takes, column by column when each is asked for
    picked: tuple[Trace, I32 | I64] | None = dataclasses.field(default=None, init=False, repr=False)
    # of a large trace: what stands for columns that it does not have
    tracks: Tracks | None = dataclasses.field(default=None, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.ts if self.picked is None else self.picked[1])

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A column of a selection, at first; one of a large trace that has tracks."""
            if name not in COLUMNS:
                raise AttributeError(name)
            if self.picked is None:
                return self.once(("column", name), lambda: _closed(self.tracks.column(name)))
            whole, rows = self.picked
            if whole.tracks is not None and name in whole.tracks.names:
                column = whole.tracks.column(name, rows)
            else:
                column = np.take(getattr(whole, name), rows)
            object.__setattr__(self, name, column)
            return column

        def __replace__(self, /, **changes: Any) -> Trace:
            """As of a dataclass; tracks stay tracks."""
            if self.tracks is None or changes.keys() & self.tracks.names:
                return dataclasses.replace(self, **changes)
            columns = {name: changes.pop(name, column) for name, column in self._present()}
            fields = {name: getattr(self, name) for name in _FIELDS} | changes
            return Trace.of_tracks(self.tracks, columns=columns, **fields)

        def __reduce__(self) -> tuple[Any, ...]:
            """Pickled as it is held; what was computed is not, and has locks."""
            own = {name: getattr(self, name) for name in (*_SHARED, "aside", "picked", "tracks")}
            return _bare, ({**dict(self._present()), **own, "memo": {}},)

    @classmethod
    def of_tracks(
        cls, tracks: Tracks, source: Source, strings: tuple[str, ...], origin_ns: int,
        tables: dict[str, Table], columns: Mapping[str, npt.NDArray[Any]],
        memo: dict[Any, Any] | None = None, aside: tuple[Aside, ...] = (),
    ) -> Trace:  # fmt: skip
        """A trace of which `tracks` stand for the columns that are not given."""
        return _bare({
            **columns, "source": source, "strings": strings, "origin_ns": origin_ns,
            "tables": tables, "memo": {} if memo is None else memo, "aside": aside,
            "picked": None, "tracks": tracks,
        })  # fmt: skip

    def _present(self) -> list[tuple[str, npt.NDArray[Any]]]:
        """The columns that are there, by name: a selection has what was asked for."""
        found = []
        for name in COLUMNS:
            with contextlib.suppress(AttributeError):
                # by the class: `__getattr__` is not asked for one that is not there
                found.append((name, getattr(Trace, name).__get__(self)))
        return found

    @property
    def taken(self) -> int:
        """Bytes of the columns that are there."""
        held = 0 if self.tracks is None else self.tracks.nbytes
        return held + sum(column.nbytes for _, column in self._present())

    @property
    def end(self) -> I64:
        """[N] ts + dur."""
        return self.once("end", self._end)

    def _end(self) -> I64:
        found = np.asarray(self.ts + self.dur)
        found.flags.writeable = False
        return found

    @property
    def path(self) -> str:
        return self.source.path

    def where(self, rows: Mask | npt.NDArray[np.intp]) -> Trace:
        """The slices that a mask keeps, or that an index array names, as a smaller trace."""
        # rows by their numbers are picked faster than by a mask, of so many columns
        places: npt.NDArray[Any] = np.flatnonzero(rows) if rows.dtype == bool else rows
        places = places.astype(np.int32 if len(self) < 1 << 31 else np.int64)
        whole = self
        if self.picked is not None:
            whole, places = self.picked[0], self.picked[1][places]
        shared = {name: getattr(self, name) for name in _SHARED}
        own: dict[str, Any] = {"memo": {}, "aside": (), "picked": (whole, places), "tracks": None}
        return _bare({**shared, **own})

    def of(self, *cats: Cat) -> Trace:
        """The slices of these categories; the same object each time."""
        return self.once(("of", cats), lambda: self.where(self.is_(*cats)))

    def is_(self, *cats: Cat) -> Mask:
        """[N] whether the slice is of one of these categories."""
        low, *others = map(int, cats)  # members of an enumeration are compared as int64
        if others == list(range(low + 1, low + 1 + len(others))):
            # neighbours at once: below the lowest a byte is as one above them all
            return np.asarray(self.cat - np.uint8(low) <= len(others))
        found: Mask = self.cat == low  # comparing bytes is many times faster than looking each up
        for one in others:
            found |= self.cat == one
        return found

    def named(self, pattern: Pattern) -> Mask:
        """[N] whether the slice's name matches (`re.search`); each name met is tried once."""
        return self.once(("named", pattern), lambda: self._named(pattern))

    def _named(self, pattern: Pattern) -> Mask:
        # names of kernels are long, and most patterns are for calls or ops
        met = self.names
        names = [self.strings[one] for one in met.tolist()]
        if isinstance(pattern, str) and is_plain(pattern):
            tried = [pattern in name for name in names]
        else:
            search = (re.compile(pattern) if isinstance(pattern, str) else pattern).search
            tried = [bool(search(name)) for name in names]
        hits = np.zeros(len(self.strings), bool)
        hits[met] = tried
        some = np.flatnonzero(hits)
        if len(some) > _FEW:
            found = np.take(hits, self.name)
        else:
            found = np.zeros(len(self), bool)
            for one in some.tolist():  # comparing is faster than looking up
                found |= self.name == one
        found.flags.writeable = False
        return found

    @property
    def names(self) -> npt.NDArray[np.intp]:
        """The indices into `strings` that a slice has, ascending."""
        return self.once("names", self._names)

    def _names(self) -> npt.NDArray[np.intp]:
        seen = np.zeros(len(self.strings), bool)
        seen[self.name] = True
        return np.flatnonzero(seen)

    def text(self, row: int) -> str:
        """The name of one row."""
        return self.strings[int(self.name[row])]

    def table(self, name: str) -> Table:
        """A side table, read from the file when first asked for.

        Raises: KeyError for a name that is not in TABLES.
        """
        columns = TABLES[name]
        if name not in self.tables:
            if self.source.reread is None:
                nothing = {c.rstrip("*"): np.empty(0, np.int64) for c in columns}
                self.tables[name] = Table(np.empty(0, np.int32), nothing)
            else:
                self.tables.update(self.source.reread(frozenset({name})))
        return self.tables[name]

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """`make()`, computed once for this trace and key; who asks meanwhile, waits for it.

        Of a large trace what is least worth its bytes is forgotten where all of it is too much.
        """
        found: T = self.memo.get(key, _ABSENT)
        if found is _ABSENT:
            with self.memo.setdefault(("lock", key), RLock()):
                found = self.memo.get(key, _ABSENT)
                if found is _ABSENT:
                    found, ns = kept.timed(make)
                    self.memo[key] = found
                    self._keep(key, found, ns)
        elif (room := self._room()) is not None:
            room.use(self, key)
        return found

    def is_making(self, key: Any) -> bool:
        """Whether another thread is making what `once` has for a key."""
        lock = self.memo.get(("lock", key))
        if lock is None or not lock.acquire(blocking=False):
            return lock is not None
        lock.release()
        return False

    def _room(self) -> kept.Kept | None:
        """What is kept of a large trace and its selections; of a small one all is."""
        whole = self if self.picked is None else self.picked[0]
        if len(whole.ts) < _LARGE:
            return None
        found: kept.Kept | None = whole.memo.get(_HEAVY)
        if found is None:
            room = kept.Kept(max(_ROOM, _ROOM_A_SLICE * len(whole.ts)), _grown)
            found = whole.memo.setdefault(_HEAVY, room)
        return found

    def _keep(self, key: Any, found: Any, ns: int) -> None:
        """Makes room for what took so long; what is small, and answers, are kept in any case."""
        if (room := self._room()) is None or key == "parts" or key[:1] in _ANSWERS:
            return
        size = _bytes(found, frozenset(id(column) for _, column in self._present()))
        if size >= _LIGHT:
            room.add(self, key, size, ns)

    @property
    def devices(self) -> tuple[int, ...]:
        """Ids of the devices with GPU work, ascending."""
        # with counts numpy sorts, which is quicker than its hashes
        return self.once(
            "devices",
            lambda: tuple(np.unique(self.of(*GPU_WORK).device, return_counts=True)[0].tolist()),
        )
