"""Files that were cut, mixed up or made by something else end in samples or in one clear line."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests.examples import examples
from tracekit.datasets import entry as dataset_entry
from tracekit.datasets.formats.csv_rows import Notes, csv_columns, number_rows
from tracekit.datasets.language.qa_pairs import pairs
from tracekit.errors import TracekitError

FEW = examples(25, suppress_health_check=list(HealthCheck))


def chat() -> bytes:
    lists = json.dumps([[0.1, 0.2, 9.8]] * 60)
    user = f"Summary: walking\nGyroscope: {lists}\nAccelerometer: {lists}"
    turns = [("user", user), ("assistant", "1. What?\nAnswer: That.\n2. Why?\nAnswer: So.")]
    return json.dumps({"messages": [{"role": r, "content": c} for r, c in turns]}).encode() + b"\n"


def table(header: str, row: Callable[[int], str], rows: int = 30, end: str = "\n") -> bytes:
    return end.join([header, *map(row, range(rows))]).encode() + end.encode()


def hhar(i: int) -> str:
    return f"{i},{10**12 + i},{10**18 + 5_000_000 * i},0,0,9.8,a,s3,s3_1,walk"


def six(i: int) -> str:
    return f"{i}.5 0 9.8 0.1 0.2 0.3"


LISTS = ",".join(f'"{[float(k)] * 5}"' for k in range(6))
HHAR = "Index,Arrival_Time,Creation_Time,x,y,z,User,Model,Device,gt"
TURNS = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
# name: {file: a whole one}, subset, options
FILES: dict[str, tuple[dict[str, bytes], str | None, dict[str, object]]] = {
    "uci_hapt": (
        {
            "acc_exp01_user01.txt": table("0 0 1", lambda i: "0.1 0.2 0.9"),
            "gyro_exp01_user01.txt": table("0 0 0", lambda i: "0.1 0.2 0.3"),
            "labels.txt": b"1 1 5 2 20\n1 1 1 21 30\n",
        },
        None,
        {},
    ),
    "hhar": (
        {
            "Phones_accelerometer.csv": table(HHAR, hhar),
            "Phones_gyroscope.csv": table(HHAR, hhar),
        },
        None,
        {},
    ),
    "ego4d": (
        {
            "a.csv": table(
                "component_idx,component_timestamp_ms,canonical_timestamp_ms,"
                "gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z",
                lambda i: f"0,{i * 5},{i * 5},0,0,0,1,2,9.8",
            )
        },
        None,
        {},
    ),
    "sensorcaps": ({"a.jsonl": chat() * 3}, None, {}),
    "opensqa": ({"a.jsonl": chat() * 3}, None, {}),
    "egovid": (
        {
            "egovid-val.csv": table(
                "video_id,fps,name,gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z",
                lambda i: f'v{i},30,"a ""b""",{LISTS}',
                4,
            )
        },
        None,
        {},
    ),
    "pamap2": (
        {
            "subject101.dat": "\n".join(
                " ".join([f"{i}.0", "4", "NaN", *["1.5"] * 51]) for i in range(9)
            ).encode()
        },
        None,
        {},
    ),
    "vidimu": (
        {
            "S40_A05_T01.raw": table(
                "QUAT,w,x,y,z,timestamp",
                lambda i: f"qsBACK,1.0,{i / 1000},0.0,0.0,{i * 20}",
                40,
                "\r\n",
            )
        },
        "derived",
        {},
    ),
    "eventgpt": (
        {
            "EventGPT_Instruction_Subset.json": json.dumps(
                [{"id": 1, "event_data": "a.npy", "conversations": TURNS}] * 3
            ).encode(),
            "a.npy": b"",
        },
        None,
        {"trust_pickle": True},
    ),
    "plain": ({"a.txt": table(six(0), six)}, None, {"rate_hz": 50.0}),
}


def read_all(name: str, folder: Path, on_error: str) -> int:
    """How many samples could be read; only a TracekitError may stop it."""
    _, subset, options = FILES[name]
    entry = dataset_entry.dataset(name)
    read = 0
    try:
        found = entry.samples(folder, subset=subset, seed=0, on_error=on_error, **options)
        for sample in islice(found, 20):
            try:
                recording = sample.parse(sample.read())
            except TracekitError:
                continue
            assert recording.values is None or recording.values.shape[1] == 6
            read += 1
    except TracekitError:
        pass
    return read


@pytest.mark.parametrize("name", [name for name in FILES if name != "eventgpt"])
def test_the_whole_files_can_be_read(name: str, tmp_path: Path) -> None:
    for file, data in FILES[name][0].items():
        (tmp_path / file).write_bytes(data)
    assert read_all(name, tmp_path, "raise") > 0
    assert dataset_entry.dataset(name).recognise is not None


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("name", FILES)
@FEW
@given(data=st.data())
def test_a_damaged_file_ends_in_samples_or_in_one_clear_line(
    name: str, on_error: str, data: st.DataObject
) -> None:
    files = dict(FILES[name][0])
    file = data.draw(st.sampled_from(sorted(files)))
    whole = files[file]
    start = data.draw(st.integers(0, len(whole)))
    cut = data.draw(st.integers(0, 200))
    junk = data.draw(
        st.one_of(
            st.binary(max_size=12),
            st.sampled_from(
                [b"\n", b",", b'"', b"\x00", b"nan", b"inf", b"1e999", b"}", b"[", b"\\", b"\r",
                 b"99999999999999999999999", b" ", b"-", b"\xef\xbb\xbf", b"null"]
            ),
        )
    )  # fmt: skip
    files[file] = whole[:start] + junk + whole[start + cut :]
    with tempfile.TemporaryDirectory() as folder:
        for other, content in files.items():
            Path(folder, other).write_bytes(content)
        for entry in map(dataset_entry.dataset, dataset_entry.datasets()):
            if entry.recognise is not None:
                entry.recognise(Path(folder))
                entry.recognise(Path(folder, file))
        read_all(name, Path(folder), on_error)


# ---------------------------------------------------------------- rows of numbers

CELL = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers(-999, 999).map(str),
    st.sampled_from(["", "x", "nan", "1e5", " 2", "3 "]),
)


@examples(150)
@given(st.lists(st.lists(CELL, min_size=1, max_size=4), min_size=1, max_size=8))
def test_rows_are_those_that_a_slow_reader_takes(lines: list[list[str]]) -> None:
    text = "\n".join(",".join(line) for line in lines)
    notes = Notes("skip")
    rows = number_rows(text.encode(), Path("f"), width=3, notes=notes, separator=",")
    good = [row.tolist() for row in rows if not np.isnan(row).any()]
    expected = []
    for line in text.rstrip().split("\n") if text.strip() else []:
        cells = line.split(",")
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            continue
        if len(row) == 3 and np.isfinite(row).all():
            expected.append(row)
    assert good == expected
    assert len(notes.bad) == len(rows) - len(good)


@examples(150)
@given(st.lists(st.lists(CELL, min_size=1, max_size=4), min_size=1, max_size=8))
def test_columns_of_a_csv_are_those_that_a_slow_reader_takes(lines: list[list[str]]) -> None:
    body = "\n".join(",".join(line) for line in lines)
    notes = Notes("skip")
    rows, kept = csv_columns(
        f"a,b,c\n{body}".encode(), Path("f"), ("c", "a"), notes=notes, empty=False
    )
    expected, places = [], []
    for at, line in enumerate(body.rstrip().split("\n") if body.strip() else []):
        cells = line.split(",")
        try:
            row = [float(cells[2]), float(cells[0])] if len(cells) == 3 else []
        except ValueError:
            continue
        if row and np.isfinite(row).all():
            expected.append(row)
            places.append(at)
    assert rows.tolist() == expected
    assert kept.tolist() == places


@examples(200)
@given(
    st.lists(
        st.sampled_from(
            ["1. ", "2. ", "Answer: ", "- ", "\n", "What?", "**Q1:** ", "**A1:** ", "it is", "**"]
        ),
        max_size=25,
    )
)
def test_pairs_of_any_text_are_parts_of_it(parts: list[str]) -> None:
    text = "".join(parts)
    for question, answer in pairs(text):
        assert question
        assert answer
        for word in (question + " " + answer).split():
            assert word.strip("*") in text
