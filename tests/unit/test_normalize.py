"""Foreign events in the form that every viewer takes."""

from decimal import Decimal
from typing import Any

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
