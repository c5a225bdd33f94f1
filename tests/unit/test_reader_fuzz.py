"""Generated and mutated traces: the reader agrees with `json` and Decimal, or says why not."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests.examples import examples
from tracekit.errors import TracekitError
from tracekit.trace import kineto
from tracekit.trace.categories import CATS
from tracekit.trace.columns.numbers import FARTHEST_NS, exact_ns, nanoseconds
from tracekit.trace.trace import TABLES, Cat, Trace

SAME = {
    "derandomize": True,  # the same cases on every machine
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
FILES, VALUES = examples(100, **SAME), examples(300, **SAME)
names = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.one_of(
    st.integers(-(10**6), 2 * 10**15),
    st.decimals(-(10**6), 2 * 10**15, places=3, allow_nan=False),
    st.decimals(0, 10**7, places=5, allow_nan=False),
)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
ids = st.one_of(st.integers(-1, 5), st.sampled_from(["stream 7", "3", "Spans"]))
ARGUMENTS = ["correlation", "device", "stream", "External id", "bytes", "grid", "Input Dims",
             "Collective name", "name", "Sequence number", "Bytes", "wait_on_stream",
             "module_fqn"]  # fmt: skip


def sound_event(draw: st.DrawFn) -> dict[str, Any]:
    event: dict[str, Any] = {"ph": "X", "name": draw(names), "pid": draw(ids), "tid": draw(ids)}
    event["cat"] = draw(st.sampled_from([*CATS, "Trace", ""]))
    event["ts"], event["dur"] = draw(numbers), draw(numbers)
    if draw(st.booleans()):
        keys = draw(st.lists(st.sampled_from(ARGUMENTS), max_size=4, unique=True))
        event["args"] = {key: draw(st.integers(-1, 99)) for key in keys}
    return dict(draw(st.permutations(list(event.items()))))


@st.composite
def sound(draw: st.DrawFn) -> list[dict[str, Any]]:
    return [sound_event(draw) for _ in range(draw(st.integers(1, 6)))]


@st.composite
def odd(draw: st.DrawFn) -> list[Any]:
    """Events with anything anywhere."""
    events: list[Any] = [sound_event(draw) for _ in range(draw(st.integers(0, 4)))]
    for event in events:
        for _ in range(draw(st.integers(0, 2))):
            event[
                draw(st.sampled_from(["ph", "cat", "name", "pid", "tid", "ts", "dur", "args"]))
            ] = draw(anything | st.sampled_from(["B", "E", "M", "i", "C", "s", "[memory]"]))
    return events + draw(st.lists(anything, max_size=2))


def dumps(value: Any, **options: Any) -> str:
    """JSON with each Decimal written out digit by digit."""
    marks: list[str] = []

    def mark(one: Any) -> Any:
        if isinstance(one, Decimal):
            marks.append(format(one, "f"))
            return f"\x00{len(marks) - 1}\x00"
        if isinstance(one, dict):
            return {key: mark(item) for key, item in one.items()}
        if isinstance(one, list):
            return [mark(item) for item in one]
        return one

    text = json.dumps(mark(value), **options)
    for index, digits in enumerate(marks):
        text = text.replace(f'"\\u0000{index}\\u0000"', digits)
    return text


def slowly(text: str) -> list[tuple[Any, ...]]:
    """What the columns should hold: `json`, Decimal and a loop."""
    rows = []
    for place, event in enumerate(json.loads(text, parse_float=Decimal, parse_int=Decimal)):
        ts, dur = (int((event[key] * 1000).to_integral_value()) for key in ("ts", "dur"))
        cat = CATS.get(event["cat"], Cat.OTHER)
        correlation = event.get("args", {}).get("correlation", -1)
        rows.append((ts, -dur, place, event["name"], int(cat), int(correlation)))
    return [(ts, -dur, name, cat, corr) for ts, dur, _, name, cat, corr in sorted(rows)]


def rows(trace: Trace) -> list[tuple[Any, ...]]:
    return [
        (
            int(trace.ts[i]) + trace.origin_ns, int(trace.dur[i]), trace.text(i),
            int(trace.cat[i]), int(trace.correlation[i]),
        )
        for i in range(len(trace))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@FILES
@given(events=sound(), indent=st.sampled_from([None, 0, 2]), piece=st.sampled_from([1, 150, 10**6]))
def test_sound_traces_are_read_as_json_and_decimal_read_them(
    events: list[dict[str, Any]], indent: int | None, piece: int, folder: Path
) -> None:
    text = dumps(events, indent=indent)
    path = folder / "t.json"
    path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tracekit.trace.columns.workers.reads.__defaults__", (1, piece))
        trace = kineto.load(path, strict=True)
    assert rows(trace) == slowly(text)


@FILES
@given(
    events=odd(),
    piece=st.sampled_from([1, 150, 10**6]),
    packed=st.booleans(),
    mutations=st.lists(
        st.tuples(
            st.sampled_from(["cut", "drop", "put", "flip"]),
            st.floats(0, 1, exclude_max=True),
            st.binary(max_size=4) | st.sampled_from([b'"', b"\\", b"}", b"]", b"NaN", b",{"]),
        ),
        max_size=3,
    ),
)
def test_whatever_the_file_holds_the_end_is_a_trace_or_a_clear_error(
    events: list[Any], piece: int, packed: bool, mutations: list[Any], folder: Path
) -> None:
    content = dumps({"a": 1, "traceEvents": events, "z": [1, {"b": 2}]}).encode()
    content = gzip.compress(content, mtime=0) if packed else content
    for kind, share, junk in mutations:
        at = int(share * len(content))
        end = {"cut": len(content), "put": at}.get(kind, at + max(len(junk), 1))
        content = content[:at] + (b"" if kind in ("cut", "drop") else junk) + content[end:]
    path = folder / "t.json"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tracekit.trace.columns.workers.reads.__defaults__", (1, piece))
        try:
            trace = kineto.load(path, tables=frozenset(TABLES))
        except TracekitError:
            return
    assert (trace.ts[1:] >= trace.ts[:-1]).all()
    assert len({len(getattr(trace, name)) for name in ("ts", "dur", "name", "cat", "pid")}) == 1
    for name, columns in TABLES.items():
        table = trace.table(name)
        assert all(len(table.columns[c.rstrip("*")]) == len(table) for c in columns)


@VALUES
@given(st.lists(st.decimals(-(10**9), 8 * 10**12, places=3, allow_nan=False), min_size=1))
def test_doubles_of_three_decimals_give_the_exact_nanosecond(values: list[Decimal]) -> None:
    found = nanoseconds([float(value) for value in values])
    assert found is not None
    assert found[0].tolist() == [int(value * 1000) for value in values]


@VALUES
@given(st.decimals(-(10**12), 10**12, places=7, allow_nan=False))
def test_doubles_of_more_decimals_are_nearest_or_read_again(value: Decimal) -> None:
    found = nanoseconds([float(value)])
    if found is not None:
        assert abs(value * 1000 - int(found[0][0])) <= Decimal("0.5")


@VALUES
@given(st.one_of(anything, st.text("0123456789.eE+-", max_size=12)))
def test_no_value_of_a_time_is_a_fault(value: Any) -> None:
    exact = None if isinstance(value, float) else exact_ns(value)
    assert exact is None or abs(exact) <= FARTHEST_NS
    nanoseconds([value])
    nanoseconds([value, 1])
