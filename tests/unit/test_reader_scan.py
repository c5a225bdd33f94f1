"""The compiled scanner and the decoder of events give identical columns, whatever the text is."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.machine import compiled
from tests.real import NAMES, trace_file
from tracekit.errors import NotATraceError
from tracekit.trace import kineto
from tracekit.trace.columns import tracks
from tracekit.trace.columns.assemble import Assembly
from tracekit.trace.columns.texts import Texts
from tracekit.trace.json.source import Text
from tracekit.trace.scan import asked, machine, rows, scanner, threads
from tracekit.trace.scan import kernel as plain
from tracekit.trace.scan.memory import PADDING
from tracekit.trace.spans import nesting
from tracekit.trace.trace import TABLES, Trace

ALL = frozenset(TABLES)
COLUMNS = ("ts", "dur", "name", "cat", "pid", "tid", "device", "stream", "correlation", "id")
SAID = ("processes", "threads", "labels", "events", "cats", "losses", "unknown", "meta")


def scanned(path: Path, kernel: asked.Kernel, size: int, many: int = 1) -> Trace | None:
    """The trace by the scanner; None where it leaves the text to others."""

    def by_scanner(text: Any, first: int, assembly: Assembly, _threads: int) -> bool:
        found = threads.reads(text, first, ALL, kernel, assembly.texts, many, size)
        for read in found:
            assembly.add(read)
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kineto, "is_large", lambda _text: True)
        patch.setattr(kineto, "_scanned", by_scanner)
        patch.setattr(tracks, "MANY", 0)  # tracks give the same columns
        try:
            return kineto.load(path, tables=ALL)
        except threads.UnusualFormError:
            return None


def decoded(path: Path, size: int) -> Trace:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tracekit.trace.columns.workers.reads.__defaults__", (1, size))
        patch.setattr(kineto, "is_large", lambda _text: False)
        return kineto.load(path, tables=ALL, processes=1)


def check(one: Trace, two: Trace) -> None:
    """That two traces are the same to the last bit and text."""
    for name in COLUMNS:
        mine, other = getattr(one, name), getattr(two, name)
        assert mine.dtype == other.dtype, name
        assert np.array_equal(mine, other), name
    assert (one.strings, one.origin_ns) == (two.strings, two.origin_ns)
    for name in SAID:
        mine, other = getattr(one.source, name), getattr(two.source, name)
        assert mine == other, name
        if isinstance(mine, dict):
            assert list(mine) == list(other), name
    for name in ALL:
        mine, other = one.tables[name], two.tables[name]
        assert mine.strings == other.strings, name
        assert np.array_equal(mine.id, other.id), name
        for column, values in other.columns.items():
            assert mine.columns[column].dtype == values.dtype, (name, column)
            is_float = values.dtype.kind == "f"
            same = np.array_equal(mine.columns[column], values, equal_nan=is_float)
            assert same, (name, column)


@pytest.mark.parametrize("name", NAMES)
def test_real_traces_are_the_same_by_both(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = count_refused(monkeypatch)
    path = trace_file(name)
    found = scanned(path, compiled(), 300_007, many=2)
    if name.startswith("kin_resnet50"):  # of 2021, ids of threads as text
        assert found is None or any(refused.values())
    elif name == "hta_cupti_profiler":  # its slices are counters too
        assert refused[max(refused)]
    else:
        assert not any(refused.values())
    if found is not None:
        check(found, decoded(path, 300_007))


def count_refused(monkeypatch: pytest.MonkeyPatch) -> dict[int, bool]:
    """Whether each piece was refused, by its number, once it was read."""
    refused: dict[int, bool] = {}
    read = rows.Rows.read

    def counted(self: rows.Rows, index: int, *given: Any) -> Any:
        found = read(self, index, *given)
        refused[index] = found is None
        return found

    monkeypatch.setattr(rows.Rows, "read", counted)
    return refused


# ---------------------------------------------------------------- drawn texts

NUMBERS = st.sampled_from(
    ["0", "7", "-3", "12.5", "1.0005", "1.00050001", "2.0005", "0.0015", "1e3", "-0", "007", "1.",
     "1751410836123456.789", "1751410836123456", "99999999999999999", "9223372036854775808",
     "2305843009213693.951", "2305843009213694", "12345678901234567890123", "0." + "1" * 70]
)  # fmt: skip
TEXTS = st.sampled_from(
    ['"a"', '""', '"aten::mm"', '"b\\n\\"c\\""', '"\\u00e9"', '"é"', '"\\ud800"', '"x\\q"',
     '"a\tb"', '"7"', '"stream 7"', '"void kernel<float>(float*, unsigned long long, int)"']
)  # fmt: skip
ODD = st.sampled_from(
    ["null", "true", "[]", "{}", "[[1, 2], []]", '{"a": [1, {"b": null}]}', "nul", "[1,]", "NaN"]
)
VALUES = st.one_of(NUMBERS, TEXTS, ODD)
# A number with a point where a word should be is said as its piece was read, 1e3 or 1000.0: no
# profiler writes one.
WORDS = {key: st.one_of(st.sampled_from(["0", "-3", "007"]), TEXTS, ODD) for key in ("cat", "name")}
ARGS = ("correlation", "device", "stream", "connection_id", "bytes", "copy kind", "kind", "grid",
        "block", "shared memory", "warps per SM", "est. achieved occupancy %", "Input Dims",
        "Input dims", "Concrete Inputs", "External id", "external id", "Sequence number",
        "Python id", "Bytes", "Total Allocated", "wait_on_cuda_event_record_corr_id",
        "Collective name", "Process Group Name",
        "module_fqn", "graph node id", "kernel", "Ev Idx", "name", "labels")  # fmt: skip
USUAL = {
    "grid": "[128, 1, 1]", "Input Dims": "[[16, 2048], []]", "kind": '"Dispatch"',
    "module_fqn": '" layers.0 "', "kernel": '"k"',
    "Process Group Name": '"0"', "warps per SM": "21.200001", "Collective name": '"allreduce"',
}  # fmt: skip


@st.composite
def objects(draw: st.DrawFn, usual: dict[str, Any], odd: float) -> str:
    """JSON of an object, perhaps with a value of another kind, in one of three layouts."""
    entries = [
        (key, draw(WORDS.get(key, VALUES)) if draw(st.floats(0, 1)) < odd else str(draw(kind)))
        for key, kind in usual.items()
    ]
    comma, colon, blank = draw(
        st.sampled_from([(", ", ": ", ""), (",", ":", ""), (",\n    ", ": ", "\n  ")])
    )
    return "{" + blank + comma.join(f'"{k}"{colon}{v}' for k, v in entries) + blank + "}"


@st.composite
def events(draw: st.DrawFn) -> str:
    odd = draw(st.sampled_from([0.0, 0.0, 0.02, 0.2]))
    chosen = draw(st.lists(st.sampled_from(ARGS), max_size=5, unique=odd < 0.1))
    args = draw(
        objects({key: st.just(USUAL.get(key, str(draw(st.integers(0, 9))))) for key in chosen}, odd)
    )
    phase = draw(st.sampled_from("XXXXXXsfitMBECn"))
    cat = draw(st.sampled_from(
        ["cpu_op", "kernel", "gpu_memcpy", "cuda_runtime", "python_function", "new", "hpu_op"]
    ))  # fmt: skip
    name = "[memory]" if phase in "in" else draw(st.sampled_from(["aten::mm", "k", "process_name"]))
    fields: dict[str, Any] = {
        "ph": st.just(f'"{phase}"'), "cat": st.just(f'"{cat}"'), "name": st.just(f'"{name}"'),
        "pid": st.integers(0, 3), "tid": st.integers(0, 3),
        "ts": st.sampled_from(["10", "10.001", "1751410836123456.789", "11.5"]),
        "dur": st.sampled_from(["0", "1", "2.25", "3000000.001"]),
        "id": st.integers(0, 9), "args": st.just(args),
    }  # fmt: skip
    for key in draw(st.lists(st.sampled_from(sorted(fields)), max_size=2)):
        if draw(st.booleans()):
            del fields[key]
            break
    return draw(objects(fields, odd / 4))


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A trace of a few events, damaged in some places or in none."""
    many = draw(st.lists(events(), min_size=1, max_size=12))
    joint = draw(st.sampled_from([", ", ",\n  ", ","]))
    text = (
        '{"schemaVersion": 1, "traceEvents": ['
        + joint.join(many)
        + draw(st.sampled_from(["]}", '\n  ],\n  "traceName": "t"\n}', "", "]", '], "a": ']))
    )
    raw = bytearray(text.encode())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        at = draw(st.integers(30, len(raw) - 1))
        raw[at : at + draw(st.sampled_from([0, 1, 5]))] = draw(
            st.sampled_from([b"", b'"', b"}", b",", b"\\", b"\x00", b"\xff", b"[", b"9"])
        )
    return bytes(raw)


def answer(read: Callable[[], Trace | None]) -> Trace | str | None:
    """The trace, or the fault in words."""
    try:
        return read()
    except NotATraceError as fault:
        return str(fault)


def either(path: Path, kernel: asked.Kernel, size: int) -> None:
    """That both ways give the same trace, or the same fault."""
    want = answer(lambda: decoded(path, size))
    found = answer(lambda: scanned(path, kernel, size))
    if isinstance(found, Trace):
        assert isinstance(want, Trace)
        check(found, want)
    else:
        assert found is None or found == want


def test_a_length_of_true_is_one_whatever_stands_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "true.json"
    event = '{"ph": "X", "cat": "cpu_op", "name": "a", "pid": 0, "tid": 0, "ts": %s, "dur": %s}'
    lengths = [("10", "true"), ("20", "2"), ("1751410836123456.789", "2.25")]
    for some in (lengths[:1], lengths[:2], lengths):
        text = ", ".join(event % one for one in some)
        path.write_text(f'{{"schemaVersion": 1, "traceEvents": [{text}]}}')
        either(path, plain.run, 1 << 21)
        found = decoded(path, 1 << 21)
        assert found.dur.tolist() == [1_000, 2_000, 2_250][: len(some)]


EVENT = '{"ph": "%s", "cat": "%s", "name": "%s", "pid": 0, "tid": 0, "ts": 1, "dur": 2, %s}'


@pytest.mark.parametrize(
    "many",
    [  # words that are the same but for an escape, or are absent and empty
        ['"cat": "a/b"', '"cat": "a\\/b"', '"cat": "c"', '"cat": "a/b"'],
        ['"cat": ""', '"id": 1', '"cat": "c"', '"cat": ""'],
    ],
)
def test_categories_that_are_one_word_are_counted_as_one(tmp_path: Path, many: list[str]) -> None:
    events = ", ".join(f'{{"ph": "X", "name": "n", "ts": 1, "dur": 2, {one}}}' for one in many)
    path = tmp_path / "words.json"
    path.write_text(f'{{"schemaVersion": 1, "traceEvents": [{events}]}}')
    either(path, plain.run, 1 << 21)
    assert sorted(decoded(path, 1 << 21).source.cats.values()) == [1, 3]


@pytest.mark.parametrize("phase", "stfibnO")
def test_what_only_looks_like_memory_or_counters_is_none(tmp_path: Path, phase: str) -> None:
    """Arrows have no bytes, and only slices are ranges of counters."""
    memory = EVENT % (phase, "c", "[memory]", '"id": 3, "args": {"Bytes": 5}')
    ranged = EVENT % (phase, "cuda_profiler_range", "r", '"id": 3, "args": {"sm__cycles": 7}')
    path = tmp_path / "alike.json"
    path.write_text(f'{{"schemaVersion": 1, "traceEvents": [{memory}, {ranged}]}}')
    either(path, plain.run, 1 << 21)
    found = decoded(path, 1 << 21)
    assert len(found.tables["memory"]) == (phase not in "stf")
    assert not len(found.tables["counters"])


def test_an_event_of_nothing_but_nul_is_left_to_others(tmp_path: Path) -> None:
    path = tmp_path / "nul.json"
    nul = '{"ph": "X", "args": {' + 40 * chr(0) + "}}"
    path.write_text('{"traceEvents": [' + EVENT % ("X", "c", "n", '"id": 1') + f", {nul}]}}")
    either(path, plain.run, 1 << 21)


def test_there_is_room_for_the_shortest_events() -> None:
    text = b",".join(2_000 * [b"{}"])
    one = scanner.Scanner(plain.run, ALL, Texts())
    one.over(np.zeros(len(text) + PADDING, np.uint8))
    one.text[: len(text)] = np.frombuffer(text, np.uint8)
    found = one.scan(len(text), False)
    assert found is not None
    assert found.odd == 2_000 * [b"{}"]


def test_pieces_that_a_long_event_covers_ask_for_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of gzip another thread may have let go of it meanwhile."""
    names = [*(20 * "n"), 9_000 * "n", *(20 * "n")]
    listed = ", ".join(EVENT % ("X", "c", name, '"id": 1') for name in names)
    path = tmp_path / "long.json.gz"
    path.write_bytes(gzip.compress(f'{{"traceEvents": [{listed}]}}'.encode()))
    want = decoded(path, 700)
    asked_for: list[int] = []
    monkeypatch.setattr(Text, "into", lambda _self, _buffer, start: asked_for.append(start))
    found = scanned(path, plain.run, 700)
    assert found is not None
    check(found, want)
    assert not asked_for


def test_what_the_scanner_gives_up_is_read_from_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "unusual.json.gz"
    event = b'{"ph": "X", "cat": "c%d", "name": "a", "pid": 0, "tid": 0, "ts": %d, "dur": 1}'
    listed = b", ".join(event % (n, n) for n in range(2_000))
    path.write_bytes(gzip.compress(b'{"traceEvents": [' + listed + b"]}"))
    monkeypatch.setattr(kineto, "is_large", lambda _text: True)
    monkeypatch.setattr(kineto, "_kernel", compiled)
    monkeypatch.setattr("tracekit.trace.scan.threads.reads.__defaults__", (1, 20_000))
    trace = kineto.load(path)  # so many categories are none that the scanner knows
    assert trace.ts.tolist() == [1_000 * n for n in range(2_000)]
    assert not trace.source.losses


@examples(25)
@given(raw=documents(), size=st.sampled_from([300, 1000, 1 << 21]))
def test_drawn_texts_are_the_same_by_both(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "drawn.json"
    path.write_bytes(raw)
    either(path, plain.run, size)


@examples(150)
@given(raw=documents(), size=st.sampled_from([300, 1000, 1 << 21]))
def test_the_machine_code_does_what_the_kernel_says(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "drawn.json"
    path.write_bytes(raw)
    either(path, compiled(), size)


@examples(60)
@given(
    spans=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 6), st.booleans()),
        max_size=30,
    )
)
def test_spans_are_nested_alike_by_both(spans: list[tuple[int, int, int, bool]]) -> None:
    ordered = sorted(spans, key=lambda one: (one[0], one[1], -one[2]))
    track = np.array([one[0] for one in ordered], np.int64)
    end = np.array([one[1] + one[2] for one in ordered], np.int64)
    candidate = np.array([one[3] for one in ordered], bool)
    want = nesting.previous_reaching(track, end, candidate)
    assert asked.nested(plain.run, track, end, candidate).tolist() == want.tolist()


# ---------------------------------------------------------------- where the machine code comes from


def a_large_text(folder: Path) -> Path:
    path = folder / "large.json"
    one = '{"ph": "X", "cat": "cpu_op", "name": "op", "pid": 1, "tid": 1, "ts": %d, "dur": 1}'
    path.write_text('{"traceEvents": [' + ",\n".join(one % k for k in range(50)) + "]}")
    return path


def test_a_large_text_is_read_while_the_kernel_is_made_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled()
    started: list[Path] = []
    monkeypatch.setenv("TRACEKIT_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(machine, "_start", started.append)
    monkeypatch.setattr(kineto, "is_large", lambda _text: True)
    machine.kernel.cache_clear()
    try:
        trace = kineto.load(a_large_text(tmp_path))
    finally:
        machine.kernel.cache_clear()
    assert len(trace) == 50
    assert [path.parent for path in started] == [tmp_path / "empty"]


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_machine_code_that_is_not_whole_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: float
) -> None:
    """As a file may be after the power failed; LLVM would end the process."""
    compiled()
    import llvmlite.binding as llvm

    code = machine.place(llvm).read_bytes()
    monkeypatch.setenv("TRACEKIT_CACHE", str(tmp_path))
    machine.place(llvm).write_bytes(code[: int(kept * len(code))])
    started: list[Path] = []
    monkeypatch.setattr(machine, "_start", started.append)
    machine.kernel.cache_clear()
    try:
        assert machine.kernel() is None
    finally:
        machine.kernel.cache_clear()
    assert started == [machine.place(llvm)]


def test_without_numba_a_large_text_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_versions", lambda: None)
    monkeypatch.setattr(kineto, "is_large", lambda _text: True)
    machine.kernel.cache_clear()
    try:
        assert len(kineto.load(a_large_text(tmp_path))) == 50
    finally:
        machine.kernel.cache_clear()


def test_a_kernel_that_another_process_is_making_is_left_to_it(tmp_path: Path) -> None:
    target = tmp_path / "scan.o"
    target.with_suffix(".lock").touch()
    machine.make(target)
    assert not target.exists()


def test_small_traces_ask_for_no_compiler() -> None:
    code = (
        "import sys; from tracekit.trace import kineto; kineto.load(sys.argv[1]); "
        "print([m for m in ('numba', 'llvmlite', 'tracekit.trace.scan') if m in sys.modules])"
    )
    path = trace_file("hta_alexnet_a100")
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
