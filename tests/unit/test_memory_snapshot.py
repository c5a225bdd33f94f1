"""A memory snapshot of PyTorch: its history replayed by hand, and pickles that are none."""

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracekit.analyses.memory.snapshot import of_snapshot

from tests.examples import examples
from tests.fresh import tracekit
from tracekit.answers.memory import Memory
from tracekit.errors import NotATraceError
from tracekit.results import engine
from tracekit.trace import kineto, snapshot
from tracekit.trace.snapshot import Block, Event, Segment, Snapshot

MIB = 1 << 20
TORCH = "/usr/lib/python3.12/site-packages/torch/nn/modules/linear.py"
MODEL = [{"filename": TORCH, "line": 125, "name": "forward"},
         {"filename": "/home/u/model.py", "line": 40, "name": "forward"}]  # fmt: skip
MAIN = [{"filename": "/home/u/train.py", "line": 7, "name": "main"}]


def event(action: str, address: int, mib: int, us: int, frames: Any = ()) -> dict[str, Any]:
    return {"action": action, "addr": address, "size": mib * MIB, "stream": 0, "time_us": us,
            "frames": list(frames)}  # fmt: skip


def block(address: int, mib: int, state: str, asked: int, frames: Any = ()) -> dict[str, Any]:
    return {"address": address, "size": mib * MIB, "requested_size": asked, "state": state,
            "frames": list(frames)}  # fmt: skip


def drawn() -> dict[str, Any]:
    """20 MiB in use with a hole of 6, 8 MiB spare; 3 MiB were there before the history began."""
    return {
        "segments": [
            {"address": 1000, "total_size": 20 * MIB, "device": 0, "blocks": [
                block(1000, 4, "active_allocated", 4 * MIB - 100, MAIN),
                block(2000, 6, "inactive", 0),
                block(3000, 10, "active_allocated", 10 * MIB, MODEL),
            ]},
            {"address": 9000, "total_size": 8 * MIB, "device": 0,
             "blocks": [block(9000, 8, "inactive", 0)]},
        ],
        "device_traces": [[
            event("segment_alloc", 1000, 20, 1000),
            event("alloc", 2000, 6, 1010, MODEL),
            event("alloc", 3000, 10, 1020, MODEL),
            event("free_requested", 5000, 3, 1030), event("free_completed", 5000, 3, 1030),
            event("free_requested", 2000, 6, 1040), event("free_completed", 2000, 6, 1041),
            {"action": "oom", "device_free": 5 * MIB, "size": 64 * MIB, "time_us": 1050,
             "frames": MAIN},
            event("segment_alloc", 9000, 8, 1060),
        ]],
    }  # fmt: skip


def written(folder: Path, what: object, protocol: int = 4) -> Path:
    path = folder / "memory.pickle"
    path.write_bytes(pickle.dumps(what, protocol))
    return path


def answer(path: Path) -> Memory:
    found = engine.answers(path).get(Memory)
    assert found is not None
    return found


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_history_is_replayed(tmp_path: Path, protocol: int) -> None:
    result = answer(written(tmp_path, drawn(), protocol))
    (row,) = result.rows
    before = 4 * MIB - 100 + 3 * MIB  # held before the history began
    assert (row.memory, row.events, row.allocations, row.frees) == ("CUDA 0", 9, 2, 2)
    assert row.allocated_first == before
    assert (row.allocated_peak, row.peak_ns) == (before + 16 * MIB, 20_000)
    assert row.allocated_last == 14 * MIB - 100
    assert row.series_reserved[:2] == (0, 20 * MIB)
    assert row.reserved_peak == 28 * MIB


def test_what_held_the_peak_is_named_by_the_programs_own_line(tmp_path: Path) -> None:
    result = answer(written(tmp_path, drawn()))
    assert [(h.line, h.bytes, h.blocks) for h in result.held] == [
        ("u/model.py:40 forward", 16 * MIB, 2),
        ("u/train.py:7 main", 4 * MIB - 100, 1),
        ("no stack recorded", 3 * MIB, 1),
    ]
    assert result.held[0].stack == ("modules/linear.py:125 forward", "u/model.py:40 forward")


def test_reserved_bytes_are_divided_once(tmp_path: Path) -> None:
    (own,) = answer(written(tmp_path, drawn())).reserves
    assert (own.requested, own.rounding, own.pending) == (14 * MIB - 100, 100, 0)
    assert (own.split, own.spare, own.largest_free) == (6 * MIB, 8 * MIB, 8 * MIB)
    assert own.reserved == own.requested + own.rounding + own.pending + own.split + own.spare


def test_the_command_answers_it_and_names_the_allocation_that_failed(tmp_path: Path) -> None:
    path = written(tmp_path, drawn())
    page = tmp_path / "page.html"
    ran = tracekit("analyze", path, "-o", page, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "This is a memory snapshot" in ran.stdout
    assert "64.0 MiB were asked for at u/train.py:7 main" in " ".join(ran.stdout.split())
    assert "tracekit open" not in ran.stdout + ran.stderr
    assert "What held the peak" in page.read_text()
    told = tracekit("analyze", path, "--json", cwd=tmp_path)
    held = json.loads(told.stdout)["traces"][0]["answers"]["memory"]["held"]
    assert held[0]["line"] == "u/model.py:40 forward"


def test_a_snapshot_without_history_has_what_is_held_now(tmp_path: Path) -> None:
    result = answer(written(tmp_path, drawn() | {"device_traces": [[]]}))
    (row,) = result.rows
    assert (row.events, row.peak_ns, row.series_ns) == (0, None, ())
    assert row.allocated_first == row.allocated_peak == row.allocated_last == 14 * MIB - 100


def test_blocks_of_older_versions_have_their_stack_in_a_history(tmp_path: Path) -> None:
    old = drawn()
    for segment in old["segments"]:
        for own in segment["blocks"]:
            asked, frames = own.pop("requested_size"), own.pop("frames")
            own["history"] = [{"addr": own.pop("address"), "real_size": asked, "frames": frames}]
    result = answer(written(tmp_path, old | {"device_traces": []}))
    assert {h.line for h in result.held} == {"u/model.py:40 forward", "u/train.py:7 main"}


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("/nowhere/at/all"),))


def around(body: bytes) -> bytes:
    return b"\x80\x04" + body + b"."


LISTS: list[Any] = [1] * 50
for _ in range(40):
    LISTS = [LISTS] * 50
REFUSED: dict[str, tuple[bytes, str]] = {
    "runs something": (pickle.dumps({"segments": [_Runs()]}), "would run"),
    "runs by opcode": (around(b"cos\nsystem\n(S'true'\ntR"), "would run os.system"),
    "a persistent id": (around(b"Pmine\n"), "would run an instruction PERSID"),
    "an extension": (around(b"\x82\x01"), "would run an instruction EXT1"),
    "cut": (pickle.dumps(drawn())[:-40], "damaged"),
    "claims more than there is": (around(b"\x8d" + struct.pack("<Q", 1 << 60) + b"x"), "damaged"),
    "memo without end": (around(b"]r\xff\xff\xff\xff"), "no memory snapshot"),
    "another thing": (pickle.dumps({"a": 1}), "no memory snapshot"),
    "a number": (pickle.dumps(7), "no memory snapshot"),
    "nothing in it": (pickle.dumps({"segments": [], "device_traces": [[]]}), "without blocks"),
    "odd segments": (pickle.dumps({"segments": [3]}), "not as PyTorch writes"),
    "odd sizes": (pickle.dumps({"segments": [{"total_size": 1.5}]}), "not as PyTorch writes"),
    "huge sizes": (pickle.dumps({"segments": [{"total_size": 1 << 99}]}), "not as PyTorch writes"),
    "lists of lists": (
        pickle.dumps({"segments": [{"blocks": LISTS}] * 1000}), "not as PyTorch writes",
    ),
    "no room": (
        pickle.dumps({"segments": [{"blocks": [{}] * 900}] * 900}), "more in it than the file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_other_pickles_are_refused_and_nothing_runs(kind: str, tmp_path: Path) -> None:
    body, why = REFUSED[kind]
    path = tmp_path / "memory.pickle"
    path.write_bytes(body)
    with pytest.raises(NotATraceError, match=why):
        engine.answers(path)


def test_what_wants_slices_says_what_answers_a_snapshot(tmp_path: Path) -> None:
    with pytest.raises(NotATraceError, match="memory snapshot") as caught:
        kineto.load(written(tmp_path, drawn()))
    assert "tracekit analyze" in str(caught.value)


@given(st.binary(max_size=80))
@examples(100)
def test_any_bytes_end_in_a_snapshot_or_in_one_line(body: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".pickle") as file:
        file.write(b"\x80\x04" + body)
        file.flush()
        try:
            snapshot.read(file.name, "memory.pickle")
        except NotATraceError:
            return


@st.composite
def histories(draw: st.DrawFn) -> Snapshot:
    """An allocator's life of which only the end was recorded."""
    live: dict[int, int] = {}
    events: list[Event] = []
    for at, size in enumerate(draw(st.lists(st.integers(1, 99), max_size=20))):
        if live and size % 3 == 0:
            address = sorted(live)[size % len(live)]
            events.append(Event("free_requested", address, live.pop(address), at * 1000, ()))
        else:
            address = at + 1
            live[address] = size
            events.append(Event("alloc", address, size, at * 1000, ()))
    kept = draw(st.integers(0, len(events)))
    blocks = tuple(Block(a, n, n, "active_allocated", ()) for a, n in live.items())
    return Snapshot((Segment(0, sum(live.values()) + 5, blocks),), {0: tuple(events[kept:])})


@given(histories())
@examples(100)
def test_what_is_held_at_the_end_is_what_the_segments_hold(past: Snapshot) -> None:
    result = of_snapshot(past, "t")
    (row,) = result.rows
    assert row.allocated_last == sum(b.requested for b in past.segments[0].blocks)
    assert row.allocated_peak == sum(h.bytes for h in result.held)
    assert row.allocated_peak >= max(row.allocated_first, row.allocated_last)
    change = sum(e.bytes if e.action == "alloc" else -e.bytes for e in past.history[0])
    assert row.allocated_last - row.allocated_first == change
