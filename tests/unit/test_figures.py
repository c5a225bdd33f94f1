"""Chart builders: what they draw, and that text from a trace stays text."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import pytest

from tracekit.attribution.idle import by_cause
from tracekit.attribution.reasons import names as reasons
from tracekit.results.figures import (
    Area,
    Block,
    Blocks,
    Chart,
    Here,
    Measure,
    Pair,
    Point,
    Sample,
    areas,
    columns,
    distinct,
    escape,
    law,
    lines,
    marks,
    paired_bars,
    roofline,
    shorten,
    slope,
    split_bars,
    strip,
    theme,
    tracks,
    waterfall,
)
from tracekit.taxonomy import Category

EVIL = "void k<<<1>>>(<script>alert('%{x}')</script>) & more"

BUILDERS: dict[str, Callable[[str], Chart]] = {
    "split_bars": lambda t: split_bars("k", t, [t, t], {t: [1e6, None], "idle": [2e6, 5e6]}),
    "paired_bars": lambda t: paired_bars("k", t, [t, "gemm"], {t: [1e6, 2e6], "b": [None, 3e6]}),
    "columns": lambda t: columns(
        "k", t, [t, "b"], {t: [1, 2]}, counts={t: [3, 4]}, x_title=t, of=t
    ),
    "lines": lambda t: lines("k", t, [0, 1], {t: [1e6, 2e6]}, fits={t: [1e6, 2e6]}, x_title=t),
    "law": lambda t: law(
        "k", t, [0, 1], {t: [0.5, 2.0]}, [Here(t, t, 0.5, 1.2, interval=(1.1, 1.3))]
    ),
    "areas": lambda t: areas("k", t, [0, 1, 2], {t: [0.5, 1], "gemm": [0.1, 0]}, of=t),
    "roofline": lambda t: roofline(
        "k",
        t,
        [Point(t, 10, 1e12, t, t, 5.0), Point(t, 1, 1e11, "gemm", "decode")],
        peaks={t: 1e15},
        bytes_per_s=3e12,
    ),
    "slope": lambda t: slope(
        "k",
        t,
        (t, "after"),
        [Pair(t, "gemm", {"ms": (2e6, 1e6)}, t), Pair("b", t, {"ms": (1e6, None)}, grey=True)],
        [Measure("ms", "ns", t)],
    ),
    "waterfall": lambda t: waterfall("k", t, (t, 5e6), [(t, -1e6), ("b", 2e6)], (t, 7e6)),
    "tracks": lambda t: tracks(
        "k",
        t,
        [Blocks(t, [Block(0, 5, t), Block(5, 5, t, t, t)]), Area(t, [0, 5, 10], {t: [1, 0.5]})],
        window=(0, 10),
    ),
}


def texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in texts(item)]
    return []


@pytest.mark.parametrize("name", BUILDERS)
def test_a_name_from_a_trace_is_never_markup_nor_a_placeholder(name: str) -> None:
    chart = BUILDERS[name](EVIL)
    layout = {name: value for name, value in chart.layout.items() if name != "meta"}
    drawn = texts([chart.data, layout])  # meta.legend is for the page, which escapes it
    assert not [text for text in drawn if "<script" in text]
    templates = [t.get("hovertemplate", "") for t in chart.data]
    assert not [text for text in templates if "%{x}')" in text]
    assert any("&lt;script&gt;" in text for text in drawn)


@pytest.mark.parametrize("name", BUILDERS)
def test_plotly_accepts_every_property_and_json_every_value(name: str) -> None:
    chart = BUILDERS[name]("plain")
    figure = chart.figure()
    assert len(figure.data) == len(chart.data) > 0
    assert "var(--" not in figure.to_json()
    json.dumps([chart.data, chart.layout], allow_nan=False)


def test_parts_of_a_split_bar_keep_their_order_and_add_up() -> None:
    chart = split_bars(
        "k", "t", ["a", "b"], {"kernel": [3e6, 1e6], "memcpy": [0, 0], "idle": [1e6, 2e6]}
    )
    small = split_bars("k", "t", ["a", "b", "c"], {"kernel": [2.4e5, 123.4e6, 1.234e6]})
    assert small.data[0]["text"] == ["0.240", "123", "1.23"]  # three digits each
    assert [trace["name"] for trace in chart.data] == ["kernel", "idle"]  # nothing to draw
    assert [sum(trace["x"][i] for trace in chart.data) for i in (0, 1)] == [4.0, 3.0]
    assert chart.layout["xaxis"]["title"]["text"] == "ms"


def test_of_many_rows_the_longest_are_drawn_in_their_order_and_the_title_says_so() -> None:
    names = [f"stage {i}" for i in range(300)]
    chart = split_bars("k", "Stages", names, {"kernel": [*range(299), None]})
    assert chart.title == "Stages: the longest 40 of 300"
    rows = [said[0] for said in chart.data[0]["customdata"]]
    assert rows == names[259:299]
    assert chart.layout["height"] < 1_500


def test_what_was_not_measured_draws_nothing_and_says_so() -> None:
    chart = paired_bars("k", "t", ["gemm"], {"prefill": [None], "decode": [2e6]})
    assert chart.data[0]["x"] == [None]
    assert chart.data[0]["customdata"][0][2] == "not measured"


@pytest.mark.parametrize(
    ("largest", "unit", "title"),
    [(4e4, "ns", "µs"), (4e6, "ns", "ms"), (2e11, "ns", "s"), (5 << 20, "bytes", "MiB")],
)
def test_the_axis_has_the_unit_that_suits_its_largest_value(
    largest: float, unit: str, title: str
) -> None:
    chart = split_bars("k", "t", ["row"], {"kernel": [largest]}, unit=unit)
    assert chart.layout["xaxis"]["title"]["text"] == title


def test_a_waterfall_names_what_its_changes_do_not_explain() -> None:
    chart = waterfall("k", "t", ("A", 10e6), [("gemm", -2e6)], ("B", 9e6))
    assert chart.layout["yaxis"]["ticktext"] == ["A", "gemm", "not explained", "B"]
    bar = chart.data[0]
    assert bar["x"] == [10, 2, 1, 9]
    assert bar["base"] == [0, 8, 8, 0]
    assert bar["text"][1:3] == ["−2.00 ms", "+1.00 ms"]


def test_a_roofline_meets_its_ridge_and_leaves_out_what_has_no_logarithm() -> None:
    chart = roofline(
        "k", "t", [Point("a", 0, 1e12, "gemm"), Point("b", 2, 1e12, "gemm")],
        peaks={"bf16": 1e15}, bytes_per_s=2e12,
    )  # fmt: skip
    roof, slope, cloud = chart.data
    assert roof["x"][0] == slope["x"][1] == 500
    assert roof["y"][0] == pytest.approx(slope["y"][1])
    assert len(cloud["x"]) == 1


def test_the_number_of_a_point_stands_beside_it_where_others_are_above() -> None:
    points = [Point("a", 2, 1e12, "gemm", total_ns=9), Point("b", 2, 1.4e12, "gemm", total_ns=1)]
    (*_, cloud) = roofline("k", "t", points, peaks={"bf16": 1e15}, bytes_per_s=2e12).data
    assert cloud["text"] == ["1", ""]
    assert cloud["textposition"] == ["middle right", "top center"]


def test_a_slope_names_what_changes_most_and_has_numbers_for_each_unit() -> None:
    pairs = [
        Pair(f"op{i}", "gemm", {"ms": (i * 1e6, i * 2e6), "%": (0.1, 0.1)}) for i in range(1, 40)
    ]
    chart = slope(
        "k", "t", ("prefill", "decode"), pairs, [Measure("ms", "ns", "time"),
                                                 Measure("%", "share", "of all")],
    )  # fmt: skip
    lines, names = chart.data[:-1], chart.data[-1]
    assert len(lines) == 24
    assert names["text"] == ["op39", "op38", "op37", "op36", "op35", "op34"]
    assert lines[-1]["y"] == [39, 78]  # what has a name lies on top
    assert lines[-1]["customdata"][0][1] == "prefill 39.0 ms, decode 78.0 ms (2.0 times)"
    assert len({line["line"]["color"] for line in lines}) == 2
    heights = sorted(names["y"])
    assert all(b - a >= 0.06 * 78 for a, b in pairwise(heights))
    other = chart.layout["meta"]["variants"]["%"]
    assert other["data"][0]["y"] == [10, 10]
    assert chart.layout["meta"]["units"] == ["ms", "%"]


def test_what_is_new_or_gone_is_neither_better_nor_worse() -> None:
    chart = waterfall("k", "t", ("a", 5e6), [("new", 2e6), ("slow", 1e6)], ("b", 8e6),
                      neutral=["new"])  # fmt: skip
    assert [text[2] for text in chart.data[0]["customdata"]] == ["", " (more)", " (worse)", ""]


def test_every_category_has_a_look_and_no_two_share_one() -> None:
    looks = [theme.mark(category) for category in Category]
    assert len(set(looks)) == len(looks)
    assert set(theme.MARKS) >= set(Category)


def test_every_cause_of_idleness_has_a_colour_of_idleness() -> None:
    names: list[str] = [*by_cause.NAMES.values(), *by_cause.SHOWN, *reasons.SHOWN.values()]
    other = [name for name in names if "var(--idle" not in str(theme.MARKS[name].colour)]
    assert other == []


def test_every_token_that_a_look_names_has_a_light_and_a_dark_colour() -> None:
    for look in [*theme.MARKS.values(), *(theme.mark("unknown", i) for i in range(40))]:
        for token in (look.colour, look.on):
            assert theme.resolve(token) != token
            assert str(theme.resolve(token, dark=True)).startswith("#")


def test_a_long_name_is_cut_in_its_middle() -> None:
    assert shorten("x" * 20, 30) == "x" * 20
    cut = shorten("start" + "x" * 100 + "end", 30)
    assert len(cut) <= 30
    assert cut.startswith("start")
    assert cut.endswith("end")


def test_escaping_leaves_quotes_since_plotly_would_show_their_entities() -> None:
    assert escape("""a<b> & "c" 'd'""") == """a&lt;b&gt; &amp; "c" 'd'"""


def test_a_chart_counts_its_marks_so_that_one_alone_is_not_drawn() -> None:
    assert marks(split_bars("k", "t", ["a"], {"kernel": [5e6], "idle": [0]})) == 1
    assert marks(split_bars("k", "t", ["a"], {"kernel": [5e6], "idle": [1]})) == 2
    assert marks(columns("k", "t", ["a", "b"], {"x": [0, 3]})) == 1
    assert marks(areas("k", "t", [0, 1, 2, 3], {"gemm": [1, 1, 0]})) == 1
    assert marks(areas("k", "t", [0, 1, 2, 3], {"gemm": [1, 0.5, 0]})) == 2
    one = tracks("k", "t", [Area("s", [0, 1, 2], {"gemm": [1, 1]})], window=(0, 2))
    assert marks(one) == 1
    assert marks(lines("k", "t", [0, 1], {"a": [1, 2]})) > 1


def test_a_fit_over_columns_breaks_where_it_has_no_value_and_is_in_the_legend_once() -> None:
    fits = [("fitted: +1.00 µs", [1e6, 2e6, None]), ("fitted: +1.00 µs", [None, None, 1e6])]
    chart = columns("k", "t", ["a", "b", "c"], {"x": [1e6, 2e6, 1e6]}, fits=fits)
    drawn = [trace for trace in chart.data if trace["type"] == "scatter"]
    assert [trace["y"] for trace in drawn] == [[1, 2, None], [None, None, 1]]
    assert [key[0] for key in chart.layout["meta"]["legend"]] == ["x", "fitted: +1.00 µs"]


def test_the_second_of_paired_bars_is_hollow_with_its_colour_in_lines_and_edge() -> None:
    chart = paired_bars("k", "t", ["gemm", "attention"], {"prefill": [1, 2], "decode": [3, 4]})
    solid, hollow = (trace["marker"] for trace in chart.data)
    assert "pattern" not in solid
    assert hollow["pattern"]["fgcolor"] == hollow["line"]["color"] == solid["color"]
    assert hollow["pattern"]["bgcolor"] == "var(--bg)"


def test_a_strip_has_every_value_in_order_its_median_and_its_interval() -> None:
    rows = [Sample("TTFT", [3e6, 1e6, 2e6], 2e6, 1e6, 3e6), Sample("load", [1e5] * 3, 1e5)]
    chart = strip("k", "t", rows, of="wall time")
    dots, _, medians, interval = chart.data
    assert dots["x"] == [3, 1, 2]
    assert dots["y"] == sorted(dots["y"])  # the first on top
    assert medians["text"][0].endswith("median 2.00 ms of 3, 95 % interval 1.00 ms to 3.00 ms")
    assert medians["text"][1].endswith("too few for an interval")
    assert interval["x"] == [1, 3]
    assert chart.layout["xaxis"]["type"] == "linear"
    wide = strip("k", "t", [Sample("a", [1e5, 1e8], 1e6)])
    assert wide.layout["xaxis"]["type"] == "log"


def test_lines_carry_the_interval_of_each_value() -> None:
    chart = lines("k", "t", [1, 2], {"decode": [2e6, 3e6]}, x_title="batch",
                  spans={"decode": [(1.5e6, 2.5e6), (None, None)]})  # fmt: skip
    (line,) = chart.data
    assert (line["error_y"]["array"], line["error_y"]["arrayminus"]) == ([0.5, 0], [0.5, 0])
    assert line["customdata"][0][1] == "2.00 ms, 95 % interval 1.50 ms to 2.50 ms"
    assert line["customdata"][1][1] == "3.00 ms, too few for one"


def test_a_sweep_has_ticks_where_it_was_tried_and_a_key_as_its_lines_are_drawn() -> None:
    series = {name: [1e6] * 4 for name in "abcd"}
    chart = lines("k", "t", [1, 2, 4, 16], series, swept=True)
    axis = chart.layout["xaxis"]
    assert (axis["type"], axis["ticktext"]) == ("log", ["1", "2", "4", "16"])
    assert (
        lines("k", "t", [1, 2, 3], {"a": [1, 2, 3]}, swept=True).layout["xaxis"]["type"] == "linear"
    )
    drawn = [(line["line"]["color"], line["line"]["dash"]) for line in chart.data]
    assert len(set(drawn)) == len(series)
    keys = chart.layout["meta"]["legend"]
    assert [(key[1], key[2].removeprefix("symbol-line-")) for key in keys] == drawn


def test_a_bin_says_what_it_holds_and_never_what_it_does_not() -> None:
    parts = {"gemm": [1, 0.25, 0], "copy": [0, 0.5, 0]}
    chart = tracks("k", "t", [Area("s", [0, 10, 20, 30], parts)], window=(0, 30))
    *areas_, said = chart.data
    assert all(area["hoverinfo"] == "skip" for area in areas_)
    assert said["text"] == ["gemm 100% of the bin", "copy 50%, gemm 25% of the bin", "nothing ran"]
    assert marks(chart) == 3  # the text is no mark


# ---------------------------------------------------------------- names


def test_names_that_would_be_cut_to_one_text_say_in_what_they_differ() -> None:
    add = "void at::native::vectorized_elementwise_kernel<{}, at::native::CUDAFunctor_add<{}>>(int)"
    gemm = "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize{}_warpgroupsize1x1x1_cublas"
    names = [
        add.format(4, "float"), add.format(4, "c10::BFloat16"), add.format(2, "float"),
        gemm.format("128x64x64"), gemm.format("64x64x64"),
        "aten::mm", "a_kernel_of_another_name_that_is_as_long_as_these_are",
    ]  # fmt: skip
    short = distinct(names, 44)
    assert len(set(short.values())) == len(names)
    assert max(map(len, short.values())) <= 44
    assert short[names[0]].endswith("(4 float)")
    assert short[names[1]].endswith("(4 BFloat16)")
    assert short[names[2]].endswith("(2)")
    assert short[names[3]].endswith("(tilesize128x64x64)")
    assert short["aten::mm"] == "aten::mm"
    assert short[names[6]] == shorten(names[6], 44)
    mangled = [f"_ZN1a24add_rmsnorm_quant_kernelI{'x' * 60}{n}EEvPT0_di" for n in "abc"]
    assert len(set(distinct(mangled, 30).values())) == 3


def boxes(chart: Chart) -> list[tuple[float, float, float, float]]:
    """Where the names of a law's points stand, in pixels of a plot of 430 by 230."""
    top, out = chart.layout["yaxis"]["range"][1], []
    for note in chart.layout["annotations"]:
        wide = 6.6 * len(note["text"])
        left = 430 * note["x"] + note["xshift"] - (wide if note["xanchor"] == "right" else 0)
        low = 230 * note["y"] / top + note["yshift"]
        low -= {"bottom": 0, "middle": 7, "top": 14}[note["yanchor"]]
        out.append((left, left + wide, low, low + 14))
    return out


def test_names_of_points_on_one_place_lie_on_no_other() -> None:
    near = [Here("this run", "measured", 0.0, 0.2), Here("expected", "the law", 0.0, 0.18, "x"),
            Here("γ 8", "", 0.97, 1.9), Here("γ 4", "", 0.99, 1.95)]  # fmt: skip
    drawn = law("k", "t", [0, 1], {"γ 4": [0.2, 2.0]}, near)
    found = boxes(drawn)
    for one, two in [(a, b) for i, a in enumerate(found) for b in found[i + 1 :]]:
        apart = one[1] <= two[0] or two[1] <= one[0] or one[3] <= two[2] or two[3] <= one[2]
        assert apart, (one, two)
    assert all(left >= -12 and right <= 442 for left, right, _, _ in found)
