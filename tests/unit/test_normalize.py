"""Foreign events in the form that every viewer takes."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tracekit.trace import kineto
from tracekit.trace.perfetto.export import Wanted, export
from tracekit.trace.perfetto.normalize import normalize


def x(name: Any, ts: Any, dur: Any, **more: Any) -> dict[str, Any]:
    return {"ph": "X", "name": name, "pid": 1, "tid": 1, "ts": ts, "dur": dur, **more}


def test_begin_and_end_become_one_slice() -> None:
    normal = normalize([
        {"ph": "B", "name": "outer", "pid": 1, "tid": 1, "ts": Decimal("1.5")},
        {"ph": "B", "name": "inner", "pid": 1, "tid": 1, "ts": 2},
        {"ph": "E", "pid": 1, "tid": 1, "ts": 3},
        {"ph": "E", "pid": 1, "tid": 1, "ts": 4},
        {"ph": "E", "pid": 1, "tid": 1, "ts": 5},
        {"ph": "B", "name": "open", "pid": 1, "tid": 2, "ts": 2},
    ])  # fmt: skip
    found = {e["name"]: (e["ph"], e["ts"], e["dur"]) for e in normal.events}
    assert found == {"outer": ("X", Decimal("1.5"), Decimal("2.5")), "inner": ("X", 2, 1)}
    assert normal.done == {
        "ends without a begin left out": 1,
        "begins without an end left out": 1,
    }


def test_what_has_no_time_or_length_is_left_out_and_counted() -> None:
    normal = normalize([
        x("good", 1, 2), x("text", "3.25", "1"), x("no length", 1, None), x("nan", 1, "NaN"),
        x("negative", 1, -1), x("no time", None, 1), {"ph": "i", "name": "i"}, None, 7,
    ])  # fmt: skip
    assert [(e["name"], e["ts"]) for e in normal.events] == [("good", 1), ("text", Decimal("3.25"))]
    assert sum(normal.done.values()) == 7


def test_control_characters_in_names_become_visible_and_other_text_stays() -> None:
    normal = normalize([x("a\x1b[1m\tb", 1, 1), x("模型 <b>", 1, 1), x(7, 1, 1)])
    assert [e["name"] for e in normal.events] == ["a␛[1m␉b", "模型 <b>", "7"]


def test_a_flow_id_that_starts_twice_gets_a_number_for_each_start() -> None:
    def flow(ph: str, ts: int) -> dict[str, Any]:
        return {"ph": ph, "id": 5, "cat": "ac2g", "name": "ac2g", "pid": 1, "tid": 1, "ts": ts}

    normal = normalize([flow("s", 1), flow("f", 2), flow("s", 3), flow("f", 4)])
    ids = [e["id"] for e in normal.events]
    assert ids[0] == ids[1] == 5
    assert ids[2] == ids[3] != 5


def test_a_negative_process_does_not_fall_onto_process_0() -> None:
    events = [x("gpu", 1, 1) | {"pid": 0}, x("overhead", 1, 1) | {"pid": -1}]
    pids = [e["pid"] for e in normalize(events).events]
    assert pids[0] == 0
    assert pids[1] > 0


@pytest.mark.parametrize("key", ["pid", "tid", "id", "cat", "ph", "args", "ts", "dur", "name"])
@pytest.mark.parametrize(
    "value", [[1], {"a": 1}, True, 1.5, 2.0, None, "1e99999999", [{}], "\x00", -1, 1 << 70]
)
def test_what_the_reader_reads_export_writes(key: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    odd = x("op", 3, 1, cat="cuda_runtime", id=4, args={"correlation": 1}) | {key: value}
    arrow = {"ph": "s", "cat": "ac2g", "name": "ac2g", "id": 1, "pid": 1, "tid": 1, "ts": 3}
    path.write_text(json.dumps([x("good", 1, 2, cat="cpu_op"), arrow | {key: value}, odd]))
    assert len(kineto.load(path)) >= 1
    for number, wanted in enumerate((Wanted(), Wanted(drop=["overhead"], to_ns=5_000, scrub=True))):
        written = tmp_path / f"{number}.json"
        export(path, written, wanted)
        assert "good" in {e.get("name") for e in json.loads(written.read_text())["traceEvents"]}


@pytest.mark.parametrize("value", [[1], {}, {"a": []}, "1", True])
def test_an_odd_correlation_is_left_out_and_the_slice_stays(value: Any) -> None:
    event = x("launch", 1, 2, cat="cuda_runtime", args={"correlation": value, "k": 1})
    found = normalize([event]).events[0]
    assert found["args"]["k"] == 1
    assert not isinstance(found["args"].get("correlation"), list | dict)
