"""Random programs on a machine whose answers are known: a replay of what it did, exact to the ns.

The machine has one host thread and streams in order. It runs a program with any lengths of its
kernels, so what a change makes of the trace is what the machine does with the changed lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np
import pytest

from tests.drawing import Slice, build
from tracekit.attribution.replay import changes, predict
from tracekit.attribution.replay.changes import Change
from tracekit.attribution.replay.predict import DEVICE_CLOCK, HOST_CLOCK, WORK_CLOCK
from tracekit.trace.trace import Cat, Table, Trace

# ns: of a launch call, from its begin to the work on an idle stream, between work that waits, from
# the end of awaited work to a start or to a return, of a call that finds nothing to wait for
CALL, LATENCY, GAP, AFTER, RETURN, EVENT = 1_000, 3_000, 1_000, 1_000, 1_500, 500
NAMES = {"sync": "cudaStreamSynchronize", "all": "cudaDeviceSynchronize",
         "event": "cudaEventSynchronize"}  # fmt: skip
RECORDS = {"sync": "Stream Sync", "all": "Context Sync", "event": "Event Sync"}
Op = tuple[object, ...]


@dataclass
class Machine:
    """What a program did: slices, what `cuda_sync` records, and the three clocks."""

    scale: Callable[[str], float] = lambda _name: 1.0
    call: int = CALL  # ns of a launch call
    waits: bool = True  # whether the host waits at all
    rows: list[Slice] = field(default_factory=list)
    syncs: list[tuple[Slice, int, int]] = field(default_factory=list)
    now: int = 0
    link: int = 0
    opened: int = 0
    host: int = 0
    ends: dict[int, int] = field(default_factory=dict)  # by stream
    held: dict[int, list[int]] = field(default_factory=dict)  # by stream, until when
    events: list[tuple[int, int, int]] = field(default_factory=list)  # end, stream, id
    work: list[tuple[int, int]] = field(default_factory=list)
    last: int = 0  # end of the stage's work

    def run(self, program: Sequence[Op]) -> Machine:
        for name, *arguments in program:
            getattr(self, str(name))(*arguments)
        self.rows.append(Slice(self.opened, self.host, "S", Cat.ANNOTATION))
        return self

    def clocks(self) -> dict[str, int]:
        window = max(end for _, end in self.work) - min(start for start, _ in self.work)
        return {HOST_CLOCK: self.host, WORK_CLOCK: self.last - self.opened, DEVICE_CLOCK: window}

    def think(self, ns: int) -> None:
        self.now += ns

    def open(self) -> None:
        self.opened = self.now

    def close(self) -> None:
        self.host = self.now - self.opened

    def _call(self, name: str, ns: int) -> int:
        self.link += 1
        self.rows.append(Slice(self.now, ns, name, Cat.RUNTIME, correlation=self.link))
        self.now += ns
        return self.link

    def _work(self, stream: int, name: str, ns: int, ready: int, cat: Cat = Cat.KERNEL) -> int:
        """Its end."""
        ns = round(ns * self.scale(name))
        free = [self.ends[stream] + GAP] if stream in self.ends else []
        start = max([ready, *free, *self.held.pop(stream, [])])
        end = self.ends[stream] = start + ns
        self.rows.append(Slice(start, ns, name, cat, pid=0, device=0, stream=stream,
                               correlation=self.link))  # fmt: skip
        self.work.append((start, end))
        if self.opened and not self.host:
            self.last = max(self.last, end)
        return end

    def launch(self, stream: int, name: str, ns: int) -> None:
        begin = self.now
        self._call("cudaLaunchKernel", self.call)
        self._work(stream, name, ns, begin + LATENCY)

    def graph(self, stream: int, nodes: Sequence[tuple[str, int]]) -> None:
        begin = self.now
        self._call("cudaGraphLaunch", 2 * self.call)
        for name, ns in nodes:
            self._work(stream, name, ns, begin + LATENCY)

    def copy(self, stream: int, ns: int) -> None:
        self.link += 1
        begin = self.now
        end = self._work(stream, "Memcpy DtoH", ns, begin + LATENCY, Cat.MEMCPY)
        self.link -= 1
        self._call("cudaMemcpy", end + RETURN - begin if self.waits else 0)

    def record(self, stream: int) -> None:
        end = self.ends.get(stream, -AFTER)
        self.events.append((end, stream, self._call("cudaEventRecord", EVENT)))

    def wait(self, stream: int, event: int) -> None:
        end, other, recorded = self.events[event % len(self.events)]
        at = self.now
        self._said("Stream Wait Event", at, stream, self._call("cudaStreamWaitEvent", EVENT),
                   other, recorded)  # fmt: skip
        if end > 0:
            self.held.setdefault(stream, []).append(end + AFTER)

    def block(self, kind: str, which: int) -> None:
        other = recorded = -1
        if kind == "event":
            until, other, recorded = self.events[which % len(self.events)]
        else:
            until = max(self.ends.values()) if kind == "all" else self.ends.get(which, 0)
        least = self.now + RETURN
        at, ns = self.now, max(until + RETURN, least) - self.now if self.waits else 0
        link = self._call(NAMES[kind], ns)
        self._said(RECORDS[kind], at, which if kind == "sync" else -1, link, other, recorded)

    def _said(self, name: str, at: int, stream: int, link: int, other: int, by: int) -> None:
        row = Slice(at, 1, name, Cat.SYNC, pid=0, device=0, stream=stream, correlation=link)
        self.syncs.append((row, other, by))

    def moved(self, stage: str, *, tid: int, pid: int, device: int, streams: int) -> Machine:
        """The same by another thread, process and device, on streams of their own."""

        def there(row: Slice) -> Slice:
            gpu, link = row.device >= 0, row.correlation
            return replace(
                row, tid=row.tid if gpu else tid, pid=device if gpu else pid,
                device=device if gpu else -1, correlation=link + streams * 10_000 * (link >= 0),
                stream=row.stream + streams * (row.stream >= 0),
                name=stage if row.cat == Cat.ANNOTATION else row.name,
            )  # fmt: skip

        syncs = [
            (there(row), other + streams * (other >= 0), by + streams * 10_000 * (by >= 0))
            for row, other, by in self.syncs
        ]
        return Machine(rows=[there(row) for row in self.rows], syncs=syncs)


def trace(*machines: Machine) -> Trace:
    """What they did at the same time."""
    told = [one for machine in machines for one in machine.syncs]
    every = [row for machine in machines for row in machine.rows]
    rows = sorted([*every, *(row for row, _, _ in told)], key=lambda s: (s.ts, -s.dur))
    place = {id(row): at for at, row in enumerate(rows)}
    said = sorted((place[id(row)], other, by) for row, other, by in told)
    columns = [np.array(column) for column in zip(*said, strict=True)]
    return build(rows, tables={"syncs": Table(columns[0].astype(np.int32), {
        "wait_stream": columns[1], "wait_event_correlation": columns[2],
    })})  # fmt: skip


# each number of the machine can be read off this: idle and busy streams, waits with and without
USUAL: tuple[Op, ...] = (
    ("launch", 7, "U", 5_000), ("think", 20_000), ("launch", 7, "U", 9_000),
    ("launch", 7, "U", 5_000), ("launch", 7, "U", 5_000), ("block", "all", 0), ("think", 3_000),
    ("block", "all", 0), ("think", 2_000), ("block", "sync", 7), ("launch", 7, "U", 8_000),
    ("block", "sync", 7), ("think", 20_000), ("graph", 7, (("U", 900), ("U", 900))),
    ("think", 20_000), ("record", 7), ("block", "event", 0), ("launch", 7, "U", 4_000),
    ("record", 7), ("block", "event", 1), ("copy", 7, 3_000), ("think", 3_000),
    ("launch", 8, "U", 2_000), ("think", 9_000), ("open",),
)  # fmt: skip


def program(seed: int, length: int = 14) -> list[Op]:
    """The usual, then what chance makes: launches, graphs, copies, events and waits of all kinds,
    on three streams."""
    chance, out, events = Random(seed), list(USUAL), 2
    for _ in range(length):
        stream, which = chance.choice((7, 8, 9)), chance.randrange(1_000)
        kind = chance.choice(("think", "launch", "launch", "graph", "copy", "record", "wait",
                              "sync", "all", "event"))  # fmt: skip
        if kind == "think":
            out.append(("think", chance.randrange(20_000)))
        elif kind == "launch":
            for _ in range(chance.randrange(1, 6)):
                out.append(("launch", stream, chance.choice("AB"), chance.randrange(500, 12_000)))
                out.append(("think", chance.choice((0, chance.randrange(3_000)))))
        elif kind == "graph":
            nodes = [(chance.choice("AB"), chance.randrange(500, 6_000)) for _ in range(4)]
            out.append(("graph", stream, tuple(nodes)))
        elif kind == "copy":
            out.append(("copy", stream, chance.randrange(500, 6_000)))
        elif kind == "record":
            out.append(("record", stream))
            events += 1
        elif kind == "wait":
            out.append(("wait", stream, chance.randrange(events)))
            out.append(("launch", stream, chance.choice("AB"), chance.randrange(500, 12_000)))
        else:
            out.append(("block", kind, which if kind == "event" else stream))
    return [*out, ("launch", 7, "A", 3_000), ("close",)]


CHANGES: dict[str, tuple[Change, Machine]] = {
    "half of A": (
        Change(scale=("kernel:^A$=0.5",)),
        Machine(scale=lambda name: 0.5 if name == "A" else 1.0),
    ),
    "nothing of A and B": (
        Change(scale=("kernel:^[AB]$=0",)), Machine(scale=lambda name: float(name not in "AB")),
    ),
    "launches for nothing": (Change(launch_cost=False), Machine(call=0)),
    "no waits": (Change(remove=("host_sync",)), Machine(waits=False)),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_machine_does_after_a_change_is_predicted_to_the_nanosecond(change: str) -> None:
    asked, changed = CHANGES[change]
    for seed in range(25):
        ops = program(seed)
        before = Machine().run(ops)
        replay = predict.replay(trace(before))
        for said in replay.fidelity:
            assert (said.replayed_ns, said.lag_ns) == (said.measured_ns, 0), (seed, said)
        found = replay.predict(changes.weights(replay, asked))
        told = {w.clock: (p.predicted_ns, p.low_ns, p.high_ns)
                for w, p in zip(replay.windows, found, strict=True)}  # fmt: skip
        after = Machine(changed.scale, changed.call, changed.waits).run(ops).clocks()
        assert told == {clock: (ns,) * 3 for clock, ns in after.items()}, seed


@pytest.mark.parametrize(
    "other", [{"tid": 2, "pid": 100, "device": 0, "streams": 10},
              {"tid": 1, "pid": 200, "device": 1, "streams": 20}], ids=["threads", "processes"],
)  # fmt: skip
def test_two_threads_and_two_processes_each_have_their_own_answer(other: dict[str, int]) -> None:
    for seed in range(8):
        programs = {
            stage: [op for op in program(seed + shift) if op[:2] != ("block", "all")]
            for stage, shift in (("S", 0), ("T", 1_000))
        }  # fmt: skip
        one, two = (Machine().run(ops) for ops in programs.values())
        replay = predict.replay(trace(one, two.moved("T", **other)))
        found = replay.predict(changes.weights(replay, Change(scale=("kernel:^A$=0.5",))))
        half = CHANGES["half of A"][1].scale
        after = {stage: Machine(half).run(ops).clocks() for stage, ops in programs.items()}
        for window, said, known in zip(replay.windows, found, replay.fidelity, strict=True):
            assert (known.replayed_ns, known.lag_ns) == (known.measured_ns, 0)
            if window.clock != DEVICE_CLOCK:
                assert said.predicted_ns == after[window.stage][window.clock], (seed, window)
