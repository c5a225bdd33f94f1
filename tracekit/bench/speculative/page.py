"""The page of a benchmark of pairs: its first sentence, its key numbers, the law with its runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tracekit.attribution.roofline import speculative_law
from tracekit.bench import about as benchmark
from tracekit.bench import file, statistics
from tracekit.bench.speculative.tables import ALONE, interval, least
from tracekit.bench.speculative.told import law_of
from tracekit.records import replace
from tracekit.report.benchmark import About
from tracekit.results import figures
from tracekit.results.figures import Chart, Here, Sample
from tracekit.results.first_screen import KeyNumber
from tracekit.results.units import count, duration, share

Row = Mapping[str, Any]  # of `speculative.rows` of the file

ALPHAS = tuple(round(0.025 * i, 3) for i in range(41))
DRAFTS = 4  # whose law is drawn
LAW = (
    "Speed-up of decode that is expected of an acceptance α: tokens of a round, "
    "(1 − α^(γ+1)) / (1 − α) on average, over what rounds of this γ cost in this run. "
    "Source: Leviathan et al. 2023, equation 1."
)
ROUND = "Decode of a request over its rounds, in decode steps of the target alone."
SPEEDUP = "Decode of the target alone over the pair's, of the same sample; the median."


def about(content: Mapping[str, Any]) -> About:
    """What the page says of itself, of the content that the file holds."""
    told = content["speculative"]
    drafts = ", ".join(dict.fromkeys(row["draft"] for row in told["rows"]))
    found, best = benchmark.about(content), _best(told["rows"])
    return replace(
        found, title=f"{drafts} drafting for {told['target']}", headline=_headline(told, best),
        notes=tuple(_notes(told)), tiles=tuple(_key_numbers(told, best)),
    )  # fmt: skip


def definitions() -> dict[str, str]:
    """Words of the page that no column explains."""
    return {"expected speed-up": LAW, "round": ROUND, "speed-up": SPEEDUP,
            "TTFT": file.DEFINITIONS["ttft"], "TPOT": file.DEFINITIONS["tpot"]}  # fmt: skip


# ---------------------------------------------------------------- the first screen


def _timed(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.get("decode_speedup")]


def _best(rows: Sequence[Row]) -> Row | None:
    """The pair and γ with the largest speed-up of decode."""
    return max(_timed(rows), key=lambda row: row["decode_speedup"]["median"], default=None)


def _named(row: Row) -> str:
    return f"{row['draft']} at γ {row['gamma']}"


def _headline(told: Mapping[str, Any], best: Row | None) -> str:
    """What the best pair gains, whether that is beyond chance, and what it rests on."""
    if best is None:
        return ""
    if told["random_weights"]:
        return _of_costs(told)
    gain, target = best["decode_speedup"], told["target"]
    sure = f" (95 %: {interval(gain)})" if gain["low"] is not None else ""
    fast = f"decodes {gain['median']:.2f} times as fast as {target} alone{sure}"
    stay = "" if best["alpha"] is None else f"{share(best['alpha'])} of judged drafts stay, "
    why = f"{stay}it pays {_from(best)}"
    if gain["median"] < 1:
        return f"No draft pays: the best, {_named(best)}, {fast}: {why}."
    said = f"{_named(best)} {fast}"
    if gain["low"] is not None and gain["low"] < 1:
        return f"Whether a draft pays is within the noise: {said}; {why}."
    late = (best["ttft_ratio"] or {}).get("median")
    first = f"; the first token takes {late:.2f} times as long" if late else ""
    return f"{said}: {why}{first}."


def _pays_first(told: Mapping[str, Any]) -> Row | None:
    """The pair and γ that pays from the least acceptance on; None where none pays at any."""
    rows = [row for row in _timed(told["rows"]) if row["round_cost"]]
    paying = [row for row in rows if row["break_even"] is not None]
    return min(paying, key=lambda row: row["break_even"], default=None)


def _from(row: Row) -> str:
    at = row["break_even"]
    return "at no acceptance" if at is None else f"from {share(at)} on"


def _of_costs(told: Mapping[str, Any]) -> str:
    """With random weights acceptance is chance: what rounds cost says from where a draft pays."""
    known = [row for row in _timed(told["rows"]) if row["round_cost"]]
    row = _pays_first(told)
    if row is not None:
        return (
            f"{_named(row)} would pay from {share(row['break_even'])} of judged drafts accepted "
            f"on: a round costs {row['round_cost']['median']:.2f} decode steps of "
            f"{told['target']}. Weights are random, so what was accepted says nothing."
        )
    row = min(known, key=lambda one: one["round_cost"]["median"] / (one["gamma"] + 1))
    return (
        f"No acceptance would pay: a round of {_named(row)} costs "
        f"{row['round_cost']['median']:.2f} decode steps of {told['target']} and makes "
        f"{row['gamma'] + 1} tokens at most."
    )


def _notes(told: Mapping[str, Any]) -> Iterator[str]:
    """What must be known before any number is quoted."""
    if told["note"]:
        yield f"{told['note'][:1].upper()}{told['note'][1:]}."
    others = [_named(row) for row in told["rows"] if row.get("same_as_target") is False]
    if others:
        yield f"Greedy text is not the target's own, token by token: {', '.join(others)}."
    for row in told["rows"]:
        if row["error"]:
            yield f"{_named(row)}: {row['error']}"


def _key_numbers(told: Mapping[str, Any], best: Row | None) -> Iterator[KeyNumber]:
    """Of the best pair, each beside the target alone."""
    if best is None:
        return
    gain, first, own = best["decode_speedup"], best["ttft_ratio"] or {}, told["alone"]
    warn = "warn" if told["random_weights"] else ""
    yield KeyNumber("Best speed-up", f"{gain['median']:.2f}×",
                    f"{_named(best)}; {interval(gain)}", SPEEDUP, warn)  # fmt: skip
    if best["alpha"] is not None:
        known = best["alpha_interval"]
        sure = f"{known[0]:.2f} to {known[1]:.2f}" if known else "of judged drafts"
        sub = "random weights: means nothing" if told["random_weights"] else sure
        yield KeyNumber("Accepted, α", f"{best['alpha']:.2f}", sub, "", warn)
    # Of the pair that the first sentence names: by its costs where the weights are random.
    said = (told["random_weights"] and _pays_first(told)) or best
    cost = said["round_cost"]
    most = f"; a round costs {cost['median']:.2f} steps" if cost else ""
    yield KeyNumber("Break-even α", least(said["break_even"]), f"{_named(said)}{most}", LAW)
    if best["tokens_per_round"] is not None:
        yield KeyNumber("Tokens a round", f"{best['tokens_per_round']:.2f}",
                        f"{best['rounds']:.1f} rounds a request", "", warn)  # fmt: skip
    yield KeyNumber("TTFT", duration(best["ttft_ns"]),
                    f"alone {duration(own['ttft_ns'])}; × {interval(first)}",
                    file.DEFINITIONS["ttft"])  # fmt: skip
    yield KeyNumber("TPOT", duration(best["tpot_ns"]), f"alone {duration(own['tpot_ns'])}",
                    file.DEFINITIONS["tpot"])  # fmt: skip


# ---------------------------------------------------------------- charts


def charts(content: Mapping[str, Any]) -> list[Chart]:
    """The law of each draft, speed-up over γ, every request's TTFT and TPOT."""
    rows = _timed(content["speculative"]["rows"])
    drafts: dict[str, list[Row]] = {}
    for row in rows:
        drafts.setdefault(row["draft"], []).append(row)
    found = [_law(draft, own, place) for place, (draft, own) in enumerate(drafts.items())
             if place < DRAFTS and any(row["round_cost"] for row in own)]  # fmt: skip
    if len({row["gamma"] for row in rows}) > 1:
        found.append(_over_gamma(drafts))
    return [*found, *_distributions(content)]


def _law(draft: str, rows: Sequence[Row], place: int) -> Chart:
    """Expected speed-up of this draft over α, a curve a γ that ran, and where each run lies."""
    known = [row for row in rows if row["round_cost"]]
    curves = {
        f"γ {row['gamma']}": [
            round(speculative_law.speedup(
                alpha, row["gamma"], law_of(row["gamma"], row["round_cost"]["median"])
            ), 4)
            for alpha in ALPHAS
        ]
        for row in known
    }  # fmt: skip
    points = [
        Here(f"γ {row['gamma']}", "as it ran", row["alpha"], row["decode_speedup"]["median"],
             interval=_ends(row["decode_speedup"]))
        for row in known if row["alpha"] is not None
    ]  # fmt: skip
    pays = [row for row in known if row["break_even"] is not None]
    said = "no acceptance pays"
    if pays:
        first = min(pays, key=lambda row: row["break_even"])
        said = f"pays from α {first['break_even']:.2f} on, at γ {first['gamma']}"
    return figures.law(
        f"law-{place + 1}", f"{draft}: {said}", ALPHAS, curves, points, table="speculative",
        summary=f"Expected speed-up of decode with {draft} over the acceptance rate, a curve a "
        "draft length, and where each run lies.",
    )  # fmt: skip


def _ends(of: Mapping[str, float | None]) -> tuple[float, float] | None:
    low, high = of["low"], of["high"]
    return None if low is None or high is None else (low, high)


def _over_gamma(drafts: Mapping[str, Sequence[Row]]) -> Chart:
    """Measured speed-up of decode over the draft length, with its interval."""
    gammas = sorted({row["gamma"] for rows in drafts.values() for row in rows})
    at = {(draft, row["gamma"]): row["decode_speedup"] for draft, rows in drafts.items()
          for row in rows}  # fmt: skip
    none: dict[str, float | None] = {"median": None, "low": None, "high": None}
    each = {draft: [at.get((draft, gamma), none) for gamma in gammas] for draft in drafts}
    drawn = figures.lines(
        "over-gamma", "Measured speed-up of decode over the draft length", gammas,
        {draft: [one["median"] for one in own] for draft, own in each.items()},
        spans={draft: [(one["low"], one["high"]) for one in own] for draft, own in each.items()},
        fits={"the target alone": [1.0] * len(gammas)}, unit="number", x_title="γ",
        of="speed-up of decode", swept=True, table="speculative",
        summary="Median speed-up of decode at each draft length, a line a draft, with its 95 % "
        "interval; the dashed line is the target alone.",
    )  # fmt: skip
    axes = {
        "yaxis": {**drawn.layout["yaxis"], "title": {"text": "speed-up of decode, ×"}},
    }
    return replace(drawn, layout={**drawn.layout, **axes})


def _distributions(content: Mapping[str, Any]) -> Iterator[Chart]:
    """Each request's time to first token and time a token, the target alone first."""
    for measure, name in (("ttft", "TTFT"), ("tpot", "TPOT")):
        samples = []
        for row in content["configurations"]:
            values = file.measures(row).get(measure)
            found = statistics.summarize(values or ())
            if values and found is not None:
                samples.append(Sample(_label(row), values, found.median, found.low, found.high))
        if len(samples) > 1:
            yield figures.strip(
                measure, f"{name} of every request", samples, of="wall time", table="speculative",
                summary=f"{name} of each request of the target alone and of each pair, with the "
                "median and its 95 % interval.",
            )  # fmt: skip


def _label(row: Mapping[str, Any]) -> str:
    axes = row["axes"]
    if axes["draft"] == ALONE:
        return ALONE
    return f"{axes['draft']}, γ {count(axes['gamma'])}"
