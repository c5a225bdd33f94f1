"""Damaged traces: all that is whole is kept, and what is not is said."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tracekit.errors import DamagedTraceError, NotATraceError
from tracekit.trace import kineto
from tracekit.trace.trace import Loss, Trace


def event(n: int, name: str = "op") -> dict[str, Any]:
    return {"ph": "X", "cat": "cpu_op", "name": f"{name} {n}", "pid": 1, "tid": 1, "ts": n * 10,
            "dur": 5.125, "args": {"External id": n, "text": "a { \" } , {"}}  # fmt: skip


def text_of(count: int, **more: Any) -> str:
    return json.dumps({**more, "traceEvents": [event(n) for n in range(count)]}, indent=1)


def load(folder: Path, content: str | bytes, piece: int = 4096) -> Trace:
    """The trace, read in one piece and again in small ones: both say the same."""
    path = folder / "t.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    trace = kineto.load(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tracekit.trace.columns.workers.reads.__defaults__", (1, piece))
        small = kineto.load(path)
        assert numbers(small) == numbers(trace)
        assert small.source.losses == trace.source.losses
    if trace.source.losses:
        with pytest.raises(DamagedTraceError):
            kineto.load(path, strict=True)
    return trace


def numbers(trace: Trace) -> list[int]:
    """Which of the events of `text_of` are there."""
    return [int(trace.text(row).split()[1]) for row in range(len(trace))]


def only(trace: Trace) -> Loss:
    assert len(trace.source.losses) == 1, trace.source.losses
    return trace.source.losses[0]


@pytest.mark.parametrize("count", [2, 300])
def test_a_file_cut_in_an_event_keeps_all_before_it(count: int, tmp_path: Path) -> None:
    text = text_of(count)
    last = text.rindex('{\n   "ph"')
    for cut in range(last + 1, text.rindex("}\n ]"), 7):
        trace = load(tmp_path, text[:cut])
        assert numbers(trace) == list(range(count - 1))
        loss = only(trace)
        assert loss.at_byte == last
        assert loss.bytes_lost == cut - last
        assert (loss.events_lost, loss.events_kept) == (1, count - 1)


def test_a_file_cut_between_events_says_that_more_may_have_followed(tmp_path: Path) -> None:
    text = text_of(5)
    end = text.rindex("}\n ]") + 1
    for cut in (end, end + 1):
        trace = load(tmp_path, text[:cut])
        assert numbers(trace) == list(range(5))
        assert only(trace).bytes_lost is None


def test_a_file_cut_in_what_follows_the_events_keeps_them_all(tmp_path: Path) -> None:
    text = json.dumps({"traceEvents": [event(n) for n in range(3)], "after": {"a": [1, 2, 3]}})
    for cut in range(text.rindex("]}") - 20, len(text) - 1, 3):
        trace = load(tmp_path, text[:cut])
        assert numbers(trace) == [0, 1, 2]
        assert len(trace.source.losses) == 1


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_gzip_cut_short_keeps_what_can_be_inflated(share: float, tmp_path: Path) -> None:
    stored = gzip.compress(text_of(5000).encode())
    trace = load(tmp_path, stored[: int(len(stored) * share)], piece=50_000)
    kept = numbers(trace)
    assert kept == list(range(len(kept)))
    assert len(kept) > 5000 * share * 0.8
    assert any("cut short" in loss.what for loss in trace.source.losses)


def test_gzip_with_a_wrong_byte_keeps_what_comes_before(tmp_path: Path) -> None:
    stored = bytearray(gzip.compress(text_of(5000).encode()))
    at = len(stored) // 2
    stored[at : at + 8] = b"\xff" * 8
    trace = load(tmp_path, bytes(stored), piece=50_000)
    assert numbers(trace)[:1500] == list(range(1500))
    assert trace.source.losses


def test_a_wrong_checksum_is_said(tmp_path: Path) -> None:
    stored = bytearray(gzip.compress(text_of(5).encode()))
    stored[-8] ^= 1
    trace = load(tmp_path, bytes(stored))
    assert numbers(trace) == list(range(5))
    assert any("damaged" in loss.what for loss in trace.source.losses)


@pytest.mark.parametrize("word", ["NaN", "inf", "-inf", "Infinity", "-Infinity", "nan", "-nan"])
def test_numbers_that_json_has_not_lose_no_event(word: str, tmp_path: Path) -> None:
    text = text_of(200).replace('"External id": 77,', f'"External id": {word}, "x": [{word}],')
    trace = load(tmp_path, text)
    assert numbers(trace) == list(range(200))
    loss = only(trace)
    assert loss.what.startswith("2 × NaN or infinity")
    assert (loss.bytes_lost, loss.events_lost) == (0, 0)
    ids = trace.table("ops").take(trace.id, "external", -1).tolist()
    assert ids == [*range(77), -1, *range(78, 200)]


def test_such_words_in_a_text_are_text(tmp_path: Path) -> None:
    text = text_of(3).replace("op 1", "op 1 : NaN, inf").replace('"External id": 2', '"x": NaN')
    trace = load(tmp_path, text)
    assert trace.text(1) == "op 1 : NaN, inf"
    assert only(trace).what.startswith("1 ×")


BAD_TEXT = {
    "a Windows path": ("op 7 C:\\\\code\\\\x", "op 7 C:\\code\\x", "op 7 C:\\code\\x"),
    "a path with a user": ("op 7 C:\\\\users", "op 7 C:\\users", "op 7 C:\\users"),
    "a line break": ("op 7 a\\nb", "op 7 a\nb", "op 7 a\nb"),
    "a bell": ("op 7 \\u0007", "op 7 \a", "op 7 \a"),
    "quotes": ('op 7 <\\"a\\" of b>', 'op 7 <"a" of b>', 'op 7 <"a" of b>'),
    "one quote": ('op 7 \\"a', 'op 7 "a', 'op 7 "a'),
    "half a pair": ("op 7 \\ufffd", "op 7 \\ud800", "op 7 �"),
}


@pytest.mark.parametrize("kind", BAD_TEXT)
def test_names_with_forbidden_characters_are_kept_as_they_look(kind: str, tmp_path: Path) -> None:
    good, bad, shown = BAD_TEXT[kind]
    text = text_of(40)
    fine = load(tmp_path, text.replace("op 7", good))
    trace = load(tmp_path, text.replace("op 7", bad))
    assert [trace.text(row) for row in range(40)] == [fine.text(row) for row in range(40)]
    assert trace.text(7) == shown
    assert trace.ts.tolist() == fine.ts.tolist()
    assert only(trace).events_lost == 0


def test_invalid_utf8_is_shown_and_said(tmp_path: Path) -> None:
    trace = load(tmp_path, text_of(40).encode().replace(b"op 7", b"op 7 \xff\xfe"))
    assert trace.text(7) == "op 7 \ufffd\ufffd"
    assert "UTF-8" in only(trace).what


def test_garbage_among_events_costs_no_whole_event(tmp_path: Path) -> None:
    text = text_of(300).encode()
    mark = b'{\n   "ph"'
    start = -1
    for _ in range(150):
        start = text.index(mark, start + 1)
    for junk in (b"\0" * 700, b"}}]]", b"\xff\xfe{{{", b'"', b"[1, 2,"):
        trace = load(tmp_path, text[:start] + junk + b",\n" + text[start:])
        kept = numbers(trace)
        assert set(range(148)) | set(range(150, 300)) <= set(kept), junk
        assert sum(loss.bytes_lost or 0 for loss in trace.source.losses) >= len(junk)


def test_an_overwritten_event_is_lost_and_counted(tmp_path: Path) -> None:
    text = text_of(100)
    trace = load(tmp_path, text.replace('"name": "op 50",', '"name": op 50 ",,'))
    assert numbers(trace) == [n for n in range(100) if n != 50]
    assert sum(loss.events_lost or 0 for loss in trace.source.losses) == 1


def test_slices_without_times_are_counted_never_guessed(tmp_path: Path) -> None:
    events = [event(n) for n in range(6)]
    del events[1]["dur"]
    events[2]["ts"] = None
    events[3]["dur"] = "soon"
    events[4]["ts"] = 1e300
    trace = load(tmp_path, json.dumps(events))
    assert numbers(trace) == [0, 5]
    assert only(trace).events_lost == 4
    assert trace.source.events == {"X": 6}


def test_elements_that_are_no_events_are_counted(tmp_path: Path) -> None:
    text = json.dumps({"traceEvents": [event(0), None, 5, "x", [1], event(1)]})
    trace = load(tmp_path, text)
    assert numbers(trace) == [0, 1]
    assert trace.source.losses


def test_fields_of_unexpected_types_cost_the_field_only(tmp_path: Path) -> None:
    odd = {**event(1), "args": [1, 2]}
    names = {**event(2), "cat": ["a"], "args": {"correlation": {"a": 1}, "External id": 1.5}}
    trace = load(tmp_path, json.dumps([event(0), odd, names, event(3)]))
    assert numbers(trace) == [0, 1, 2, 3]
    assert trace.correlation.tolist() == [-1] * 4


def test_begins_without_an_end_are_said(tmp_path: Path) -> None:
    more = [{"ph": "B", "name": "b 1", "pid": 1, "tid": 1, "ts": 1}, {"ph": "E", "pid": 9, "ts": 2}]
    trace = load(tmp_path, json.dumps([event(0), *more]))
    assert numbers(trace) == [0]
    assert only(trace).events_lost == 2


def test_metadata_with_bad_escapes_does_not_hide_the_events(tmp_path: Path) -> None:
    text = '{"traceName": "C:\\Users\\x.json", "n": NaN, "traceEvents": [%s], "z": "D:\\q"}'
    trace = load(tmp_path, text % json.dumps(event(0)))
    assert numbers(trace) == [0]
    assert trace.source.meta["traceName"] == "C:\\Users\\x.json"
    assert len(trace.source.losses) == 3


def test_a_file_with_no_whole_event_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('{"traceEvents": [{"ph": "X", "na')
    with pytest.raises(NotATraceError, match="no whole event"):
        kineto.load(path)


def test_a_lone_nul_in_a_name_is_a_character_and_a_run_of_it_a_hole(tmp_path: Path) -> None:
    for count, kept in ((1, [0, 1, 2]), (3, [0, 1, 2]), (4096, [0, 2])):
        text = text_of(3).encode().replace(b'"op 1"', b'"op 1 caf' + b"\0" * count + b'"')
        trace = load(tmp_path, text)
        assert numbers(trace) == kept
        loss = only(trace)
        assert loss.events_lost == 3 - len(kept)
        if count < 8:
            assert trace.text(1) == "op 1 caf" + "\0" * count


@pytest.mark.parametrize("time", ["1e99999999", "-1e99999999", "1e-99999999", "9" * 60])
@pytest.mark.parametrize("key", ["ts", "dur"])
@pytest.mark.parametrize("quoted", [True, False])
def test_a_time_that_no_trace_reaches_is_a_lost_event(
    time: str, key: str, quoted: bool, tmp_path: Path
) -> None:
    events = [event(n) for n in range(3)]
    text = json.dumps({"traceEvents": events})
    own = json.dumps(events[1])
    value = f'"{time}"' if quoted else time
    odd = json.dumps({**events[1], key: "HERE"}).replace('"HERE"', value)
    trace = load(tmp_path, text.replace(own, odd))
    lost = time != "1e-99999999"  # that one is 0
    assert sorted(numbers(trace)) == ([0, 2] if lost else [0, 1, 2])
    assert sum(loss.events_lost or 0 for loss in trace.source.losses) == int(lost)
