"""A mean is of instances that are alike, and says of how many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drawing import draw
from tracekit.answers.stages import Stages
from tracekit.attribution.stages.alike import APART, alike
from tracekit.report import text_tables
from tracekit.report.one.overview import Overview, overview
from tracekit.results import catalog, engine
from tracekit.trace.trace import Trace

STEPS = {"p": "ProfilerStep#1", "q": "ProfilerStep#2", "r": "ProfilerStep#3"}


@given(st.lists(st.tuples(st.integers(0, 1000), st.booleans()), min_size=1, max_size=12))
def test_no_larger_group_is_alike(steps: list[tuple[int, bool]]) -> None:
    walls, worked = [wall for wall, _ in steps], [work for _, work in steps]
    chosen = alike(walls, worked)
    able = [i for i in range(len(steps)) if worked[i] or not any(worked)]
    assert set(chosen) <= set(able)
    assert max(walls[i] for i in chosen) <= APART * min(walls[i] for i in chosen)
    for low in able:
        within = [i for i in able if walls[low] <= walls[i] <= APART * walls[low]]
        assert len(within) <= len(chosen)


@pytest.mark.parametrize(
    ("picture", "said", "wall"),
    [
        # one step launched work, one did not
        ("mark      ppppqqqqqq\nhost      .a........\nstream 7  ..AA......", "1 of 2", 4_000),
        # the first warms up
        (
            "mark      pppppppppppprrqq\nhost      .a..........b.c.\n"
            "stream 7  ..AAAAAAAAAA.B.C",
            "2 of 3", 2_000,
        ),
        ("mark      ppppqqqqqq\nhost      .a...b....\nstream 7  ..AA..BBB.", "", 5_000),
    ],
)  # fmt: skip
def test_the_mean_is_of_what_is_alike_in_chart_and_table(
    picture: str, said: str, wall: int
) -> None:
    trace = draw(picture, STEPS)
    view = overview(engine.of_trace(trace))
    (grid,) = (grid for grid in view.grids if grid.key == "stage-split")
    row = dict(zip((c.label for c in grid.columns), grid.rows[0], strict=True))
    assert row["mean"] == wall
    assert row.get("mean of", "") == said
    assert ("'mean of' is how many the mean is of" in text_tables.as_text("", [grid])) == bool(said)
    assert _drawn(view) == ("ProfilerStep" + (f" ({said})" if said else ""))
    assert _spread(trace)["mean"] == wall


def _drawn(view: Overview) -> str:
    (row,) = {text[0] for bar in view.charts[0].data for text in bar["customdata"]}
    return str(row)


def _spread(trace: Trace) -> dict[str, object]:
    grids = catalog.analysis("stages").tables(catalog.ask(trace, Stages))
    (grid,) = (grid for grid in grids if grid.key == "spread")
    return dict(zip((c.label for c in grid.columns), grid.rows[0], strict=True))
