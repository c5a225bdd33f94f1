"""Models side by side: as grids, as LaTeX with booktabs, and as a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tracekit import plain
from tracekit.models.comparing import Comparison, Floor, Measured, Outlook, Pair, Row
from tracekit.report import text
from tracekit.report.html.page import Page, fill, save
from tracekit.report.one.overview import Overview
from tracekit.results.figures import Chart, split_bars
from tracekit.results.result import Column, Grid, to_plain
from tracekit.results.units import bytes_, count, duration
from tracekit.version import __version__

FLOOR = (
    "The least that the device needs: weights read once a pass, keys and values of the context, "
    "2 FLOPs a weight and token, over its datasheet's peaks. No model runs faster."
)
PAIR = (
    "From these floors, on a device that does nothing else: what the sizes allow at most. A pair "
    "is a draft and a target that share ids; the rest of the draft's ids is never proposed."
)
NONE = "none"
_LATEX_HEAD = "% made by tracekit models compare"
BEST_OF = 4  # the draft length that the table of pairs shows


def grids(found: Comparison) -> list[Grid]:
    """What each model is, then the floors, then the pairs."""
    every = [_facts(found), _times(found)]
    if found.pairs:
        every.append(_pairs(found))
    return every


# ---------------------------------------------------------------- what they are


def _short(row: Row) -> str:
    return row.title.partition(":")[0].partition(",")[0]


def _facts(found: Comparison) -> Grid:
    lines: list[tuple[str, Callable[[Row], str | None]]] = [
        ("input", lambda r: r.input),
        ("encoder", lambda r: r.encoder),
        ("decoder", lambda r: r.decoder or NONE),
        ("vocabulary", _vocabulary),
        ("trained on", lambda r: r.trained_on),
        ("parameters", lambda r: count(r.total)),
        ("of which", lambda r: ", ".join(f"{name} {count(n)}" for name, n in r.parameters.items())),
        (f"weights, {found.dtype}", lambda r: bytes_(r.weight_bytes)),
        ("cache a token", lambda r: None if r.cache_bytes_per_token is None
         else bytes_(r.cache_bytes_per_token)),
        ("tokens of a prompt", lambda r: None if r.prompt_tokens is None
         else count(r.prompt_tokens)),
        ("drafts for", lambda r: _partners(found, r)),
    ]  # fmt: skip
    columns = (Column(""), *(Column(_short(row)) for row in found.rows))
    rows = [(name, *(say(row) for row in found.rows)) for name, say in lines]
    return Grid(
        "models", "What they are", columns, rows,
        "Of the published sizes. Tokens of a prompt: the model's own question and one sample; of "
        "a language model a question.",
        absent="– is not known, or there is none.",
    )  # fmt: skip


def _vocabulary(row: Row) -> str | None:
    own = row.vocabulary
    if own is None:
        return None
    more = f"; adds {own.added}" if own.added else ""
    return f"{own.family}, {count(own.ids)}{more}"


def _partners(found: Comparison, row: Row) -> str:
    return ", ".join(pair.target for pair in found.pairs if pair.draft == row.name) or NONE


# ---------------------------------------------------------------- what they take


def _times(found: Comparison) -> Grid:
    columns = (
        Column("model"), Column("on"), Column("is"), Column("encode", "ns"),
        Column("prefill", "ns"), Column("decode step", "ns", "One token in the middle of an "
        f"answer of {found.tokens} tokens; measured: TPOT."),
    )  # fmt: skip
    rows: list[tuple[object, ...]] = []
    for row in found.rows:
        rows += [_floor(row, one) for one in row.floors if one.encode_ns or one.step_ns]
        rows += [_measured(row, one) for one in row.measured]
        if not row.measured:
            rows.append((_short(row), "", "measured", None, None, None))
    note = f"Floors of one request in {found.dtype}. {FLOOR} Measured: given with --measured."
    return Grid("times", "What they take", columns, rows, note)


def _floor(row: Row, floor: Floor) -> tuple[object, ...]:
    return (_short(row), floor.device, "floor", floor.encode_ns, floor.prefill_ns, floor.step_ns)


def _measured(row: Row, one: Measured) -> tuple[object, ...]:
    size = f"{one.size}, random weights" if one.random_weights else one.size
    said = f"measured, {size}, {one.dtype}"
    return (_short(row), one.device, said, one.encode_ns, one.prefill_ns, one.step_ns)


# ---------------------------------------------------------------- pairs


def _pairs(found: Comparison) -> Grid:
    columns = (
        Column("draft"), Column("target"), Column("shared ids", "count"), Column("on"),
        Column("weights", "bytes", "Of both."),
        Column("caches", "bytes", f"Of both, after an answer of {found.tokens} tokens."),
        Column("c", "text", "Draft step over target step."),
        Column(f"verify({BEST_OF + 1})", "text", "Over the target's step."),
        Column("break-even α", "text", f"Least acceptance that pays at γ {BEST_OF}."),
        Column("all accepted", "text", f"Speed-up of decode at γ {BEST_OF} and α = 1."),
        Column("draft ahead", "ns", "Encode and prefill of the draft."),
        Column("target ahead", "ns", "Encode and prefill of the target."),
        Column("tokens to pay", "text", "Of an answer, with every draft accepted and the best γ of "
               "1, 2, 4 and 8, until decode has saved what the draft takes ahead."),
    )  # fmt: skip
    rows = [_outlook(pair, one) for pair in found.pairs for one in pair.outlooks]
    return Grid("pairs", "Pairs for speculative decoding", columns, rows, PAIR)


def _outlook(pair: Pair, one: Outlook) -> tuple[object, ...]:
    gain = next(gain for gain in one.gains if gain.gamma == BEST_OF)
    return (
        pair.draft, pair.target, pair.shared_ids, one.device, pair.weight_bytes, pair.cache_bytes,
        f"{one.c:.3f}", f"{gain.verify:.3f}",
        NONE if gain.break_even is None else f"{gain.break_even:.3f}",
        f"{gain.all_accepted:.3f}", one.ahead_ns, one.target_ahead_ns,
        _pays(one),
    )  # fmt: skip


def _pays(one: Outlook) -> str | None:
    """None where it is not known what the draft does ahead."""
    if one.tokens_to_pay is not None:
        return count(one.tokens_to_pay)
    gains = any(gain.all_accepted > 1 for gain in one.gains)
    return None if gains and one.ahead_ns is None else "never"


# ---------------------------------------------------------------- the forms


def markdown(found: Comparison) -> str:
    """The tables for GitHub and notebooks."""
    return "\n\n".join("\n".join(text.titled(grid)) for grid in grids(found)) + "\n"


def latex(found: Comparison) -> str:
    """A float a table, with booktabs' rules; `\\usepackage{booktabs}` is all that they need."""
    head = rf"{_LATEX_HEAD}; needs \usepackage{{booktabs}}"
    return "\n".join([head, *(line for grid in grids(found) for line in _float(grid))]) + "\n"


def _float(grid: Grid) -> Iterator[str]:
    shown = [i for i in range(len(grid.columns)) if any(row[i] is not None for row in grid.rows)]
    columns = [grid.columns[i] for i in shown]
    wide = grid.key == "models"  # sentences: columns that break lines
    rest = f"p{{{0.8 / max(len(columns) - 1, 1):.2f}\\linewidth}}" if wide else ""
    kinds = "l" + "".join(rest or ("l" if c.unit == "text" else "r") for c in columns[1:])
    yield from (
        r"\begin{table*}",
        r"\centering\small",
        rf"\caption{{{plain.latex(f'{grid.title}. {grid.note}')}}}",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        " & ".join(plain.latex(c.label) for c in columns) + r" \\",
        r"\midrule",
    )
    for row in grid.rows:
        cells = ("–" if row[i] is None else grid.columns[i].show(row[i]) for i in shown)
        yield " & ".join(map(plain.latex, cells)) + r" \\"
    yield from (r"\bottomrule", r"\end{tabular}", r"\end{table*}")


FORMS: dict[str, Callable[[Comparison], str]] = {"markdown": markdown, "latex": latex}


def chart(found: Comparison) -> Chart | None:
    """The least time of a request on each device, by stage; None where no floor is known."""
    known = [(row, floor) for row in found.rows for floor in row.floors if floor.step_ns]
    if not known:
        return None
    steps = found.tokens - 1
    return split_bars(
        "floors", f"The least time of a request that generates {found.tokens} tokens",
        [f"{_short(row)} · {floor.device}" for row, floor in known],
        {
            "encode": [floor.encode_ns for _, floor in known],
            "prefill": [floor.prefill_ns for _, floor in known],
            "decode": [(floor.step_ns or 0) * steps for _, floor in known],
        },
        of="floor", table="times", summary="The floor of each stage, one bar a model and device.",
    )  # fmt: skip


def write(path: Path, found: Comparison, command: str) -> Path:
    """The page. Raises: TracekitError where it cannot be written."""
    bars = chart(found)
    names = ", ".join(_short(row) for row in found.rows)
    page = Page(
        title=f"{names}, side by side",
        subtitle=f"published sizes · {found.dtype} · {_ahead(found.pairs)}",
        overview=Overview(
            headlines=tuple(filter(None, [headline(found)])),
            charts=() if bars is None else (bars,), opened=tuple(grids(found)),
            definitions={"floor": FLOOR, "pair": PAIR},
        ),
        facts=[],
        sections=[],
        source=[("tracekit", __version__, False), ("made by", command, True)],
        data={"models": to_plain(found)},
    )  # fmt: skip
    return save(fill(page), path)


def headline(found: Comparison) -> str:
    """The least time of a token of each model on the first device, and whether a pair could pay."""
    devices = [floor.device for row in found.rows for floor in row.floors if floor.step_ns]
    if not devices:
        return ""
    steps = [
        f"{duration(floor.step_ns)} ({_short(row)})" for row in found.rows for floor in row.floors
        if floor.device == devices[0] and floor.step_ns
    ]  # fmt: skip
    said = f"A token takes at least {', '.join(steps)} on {devices[0]}"
    if not found.pairs:
        return f"{said}."
    gains = [
        (max(gain.all_accepted for gain in one.gains), pair) for pair in found.pairs
        for one in pair.outlooks if one.device == devices[0] and one.gains
    ]  # fmt: skip
    most, pair = max(gains, key=lambda own: own[0])
    if most <= 1:
        return f"{said}; no draft among them pays, were every token of it accepted."
    best = f"the best pair, {pair.draft} for {pair.target}"
    return f"{said}; {best}, decodes at most {most:.2f} times as fast, were every draft accepted."


def _ahead(pairs: Sequence[Pair]) -> str:
    """In a few words, whether any pair could gain."""
    if not pairs:
        return "no two of them share a vocabulary"
    every = [(one.tokens_to_pay is not None, gain.all_accepted) for pair in pairs
             for one in pair.outlooks for gain in one.gains]  # fmt: skip
    best = max((most for _, most in every), default=0.0)
    return f"the best pair decodes {best:.2f}× as fast as its target alone, all drafts accepted"
