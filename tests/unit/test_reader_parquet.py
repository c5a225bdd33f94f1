"""A trace as Parquet: the same trace when it comes back, and plain columns for others."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.conftest import shared
from tracekit.cli.app import app
from tracekit.errors import NotATraceError
from tracekit.trace import kineto
from tracekit.trace.trace import TABLES

NAMES = ["tl_h100_qwen15_05b.json.gz", "kin_resnet50_v100_2021_06_w0.json.gz",
         "hta_cupti_profiler.json.gz", "hta_cpu_only_small.json.gz", "hta_large_integer.json.gz",
         "tl_mi300_resnet_act_checkpoint.json.gz"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_back_from_parquet_is_what_went_in(name: str, tmp_path: Path) -> None:
    path = shared("traces", name)
    out = tmp_path / "t.parquet"
    ran = CliRunner().invoke(app, ["convert", str(path), str(out)])
    assert ran.exit_code == 0, ran.output
    one, two = kineto.load(path, tables=frozenset(TABLES)), kineto.load(out)
    for column in ("ts", "dur", "cat", "pid", "tid", "device", "stream", "correlation", "id"):
        before, after = getattr(one, column), getattr(two, column)
        assert before.dtype == after.dtype
        assert (before == after).all()
    names = [[t.strings[k] for k in t.name.tolist()] for t in (one, two)]
    assert names[0] == names[1]
    assert one.origin_ns == two.origin_ns
    assert one.source.meta == two.source.meta
    for field in ("processes", "threads", "labels", "events", "cats", "losses", "path"):
        assert getattr(one.source, field) == getattr(two.source, field)
    for table, columns in TABLES.items():
        before, after = one.table(table), two.table(table)
        assert (before.id == after.id).all(), table
        for column in columns:
            key = column.rstrip("*")
            old, new = before.columns[key], after.columns[key]
            if column.endswith("*"):
                texts = [
                    [t.strings[k] if k >= 0 else None for k in c.tolist()]
                    for t, c in ((before, old), (after, new))
                ]
                assert texts[0] == texts[1], (table, key)
            else:
                assert np.array_equal(old, new, equal_nan=old.dtype.kind == "f"), (table, key)


def test_pandas_reads_names_categories_and_exact_times(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    trace = tmp_path / "t.json"
    kernel = {"ph": "X", "cat": "kernel", "name": "k<a>", "pid": 0, "tid": 7, "ts": 1.25,
              "dur": 2.5, "args": {"stream": 7, "grid": [1, 2, 3], "correlation": 4}}  # fmt: skip
    flow = {"ph": "s", "id": 4, "cat": "ac2g", "pid": 1, "tid": 1, "ts": 1.5}
    trace.write_text(json.dumps({"traceEvents": [kernel, flow]}))
    out = tmp_path / "t.parquet"
    assert CliRunner().invoke(app, ["convert", str(trace), str(out)]).exit_code == 0
    table = pd.read_parquet(out)
    row = table[table.ph == "X"].iloc[0]
    assert (row["name"], row["cat"], row["ts"], row["dur"]) == ("k<a>", "kernel", 0, 2500)
    assert list(row["grids.grid"]) == [1, 2, 3]
    assert table[table.ph == "s"].iloc[0]["ts"] == 250


def test_other_parquet_is_refused_by_name(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(NotATraceError, match="not written by"):
        kineto.load(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(NotATraceError, match="not a whole Parquet"):
        kineto.load(path)
