"""docs/time.md names what the code knows, and every answer fits its tables."""

import inspect
import json
import re
from functools import reduce
from pathlib import Path

import pytest
from tracekit.analyses.audit import checks

from tests.real import loaded
from tracekit.attribution.idle.cause_names import ORDER
from tracekit.errors import MissingEventsError
from tracekit.results import catalog

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "time.md").read_text(encoding="utf-8")
MINE = ("audit", "devices", "stages", "tokens", "idle", "launches")
FILES = (
    "tl_sglang_decode", "tl_sglang_prefilldecode", "hta_nccl_ddp_a100",
    "hta_sampled_rank0", "hta_sampled_rank1", "hta_cpu_only_small",
)  # fmt: skip


def test_every_class_of_idle_time_is_in_the_docs() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.split("## idle")[1].split("**Reasons**")[0], re.M)
    assert rows == [cause.value for cause in ORDER]


def test_every_check_is_in_the_docs() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE.split("## audit")[1], re.M))
    named = {
        name
        for module in (checks.work, checks.recording, checks.host, checks.hidden)
        for name in re.findall(
            r'trace\.path,\s+"(\w+)"', inspect.getsource(module)
        )
    }  # fmt: skip
    assert rows == named


@pytest.mark.parametrize("name", MINE)
def test_answers_of_many_traces_merge_into_tables_charts_and_json(name: str) -> None:
    entry, found = catalog.analysis(name), []
    for file in FILES:
        try:
            found.append(catalog.answer(loaded(file), name))
        except MissingEventsError:
            continue
    assert found
    merged = reduce(entry.merge, found)
    if hasattr(merged, "rows") and name != "audit":
        assert len(merged.rows) == sum(len(one.rows) for one in found)
    for result in (*found, merged):
        grids = entry.tables(result)
        keys = [grid.key for grid in grids]
        assert len(set(keys)) == len(keys)
        for grid in grids:
            assert len(grid.rows) <= 200
            for column in grid.columns:
                assert column.unit == "text" or column.definition, (grid.key, column.label)
            for row in (*grid.rows, *([grid.total] if grid.total else [])):
                cells = zip(grid.columns, row, strict=True)
                assert all(isinstance(column.show(value), str) for column, value in cells)
        for chart in entry.charts(result):
            assert chart.table in keys
            assert chart.summary
            assert chart.data
        json.dumps(result.to_json(), allow_nan=False)
        assert len(result.to_pandas()) == len(result.rows)
