"""A benchmark of pairs as grids: what requests gave, and what passes cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracekit.bench.speculative.costs import TIMES
from tracekit.results.result import Column, Grid

ALONE = "target alone"
UNKNOWN = "too few samples"

REQUESTS = (
    Column("draft", "text"),
    Column("γ", "count", "Tokens drafted a round at most."),
    Column("acceptance", "share", "Draft tokens that stay, over those drafted."),
    Column("α", "share", "Draft tokens that stay, over those judged: none is judged after the "
           "first that is refused."),
    Column("α, 95 %", "text", "Interval of α, over requests."),
    Column("tokens/round", "number", "Accepted draft tokens and the target's own, a row."),
    Column("rounds", "number", "Of a request, mean."),
    Column("tokens/s", "number", "Of decode, all rows of the batch."),
    Column("TTFT", "ns", "All stages before decode, the draft's included; mean."),
    Column("TTFT, × alone", "number", "TTFT over that of the target alone, sample by sample; "
           "median."),
    Column("its 95 %", "text", "Interval of that median."),
    Column("TPOT", "ns", "Decode over the tokens after the first, mean."),
    Column("speed-up", "number", "Decode of the target alone over the pair's, sample by sample; "
           "median."),
    Column("speed-up, 95 %", "text", "Interval of that median."),
    Column("break-even α", "text", "Least α at which rounds that cost what these did pay."),
    Column("same text", "text", "Greedy tokens are the target's own."),
)  # fmt: skip

COSTS = (
    Column("draft", "text"),
    Column("γ", "count"),
    Column("draft step", "ns", "One position of the draft, median."),
    Column("target step", "ns", "One position of the target, median."),
    Column("c", "number", "Draft step over target step."),
    Column("verify", "ns", "γ + 1 positions of the target, median."),
    Column("/ step", "number", "verify(γ+1) over verify(1)."),
    Column(
        "round",
        "number",
        "Decode over rounds, in decode steps of the target alone, sample by "
        "sample; median. The last round of a request may draft fewer.",
    ),
    Column("draft ahead", "ns", "The draft's stages before decode, mean."),
    Column("target weights", "bytes"),
    Column("draft weights", "bytes"),
    Column("target cache", "bytes", "Keys and values at the end of a request."),
    Column("draft cache", "bytes"),
)


def interval(of: Mapping[str, float | None]) -> str:
    """`1.20 to 1.31` of a summary; empty where nothing is known."""
    low, high = of.get("low"), of.get("high")
    if low is not None and high is not None:
        return f"{low:.2f} to {high:.2f}"
    return UNKNOWN if of else ""


def least(alpha: float | None) -> str:
    """An acceptance from which it pays, as text."""
    return "none pays" if alpha is None else f"{alpha:.2f}"


def requests_grid(told: Mapping[str, Any]) -> Grid:
    """Acceptance and times of each pair, the target alone first."""
    own = told["alone"]
    rows: list[tuple[Any, ...]] = [
        (ALONE, None, None, None, "", None, None, own["tokens_per_s"], own["ttft_ns"], None, "",
         own["tpot_ns"], None, "", "", ""),
    ]  # fmt: skip
    for one in told["rows"]:
        if one["error"] or "ttft_ns" not in one:
            continue
        gain, first = one["decode_speedup"] or {}, one["ttft_ratio"] or {}
        alpha = one["alpha_interval"]
        same = {True: "yes", False: "no", None: "sampled"}[one["same_as_target"]]
        rows.append((
            one["draft"], one["gamma"], one["acceptance"], one["alpha"],
            f"{alpha[0]:.2f} to {alpha[1]:.2f}" if alpha else UNKNOWN, one["tokens_per_round"],
            one["rounds"], one["tokens_per_s"], one["ttft_ns"], first.get("median"),
            interval(first), one["tpot_ns"], gain.get("median"), interval(gain),
            least(one["break_even"]), same,
        ))  # fmt: skip
    faults = [f"{o['draft']}, γ {o['gamma']}: {o['error']}" for o in told["rows"] if o["error"]]
    said = [told["note"]] if told["note"] else []
    note = "; ".join(["all in turns, over the same samples", *said, *faults])
    title = f"Drafts for {told['target']}, against the target alone"
    return Grid("speculative", title, REQUESTS, rows, note=note)


def costs_grid(told: Mapping[str, Any]) -> Grid:
    """What single passes cost, and the memory of both models."""
    rows = []
    for one in told["rows"]:
        if "c" not in one:
            continue
        memory = one["memory"] or {}
        of = {name: memory.get(name) or {} for name in ("target", "draft")}
        rows.append((
            one["draft"], one["gamma"], one["draft_step_ns"], one["target_step_ns"], one["c"],
            one["verify_ns"], one["verify_over_step"], (one["round_cost"] or {}).get("median"),
            one["draft_ahead_ns"],
            of["target"].get("weights"), of["draft"].get("weights"),
            of["target"].get("cache"), of["draft"].get("cache"),
        ))  # fmt: skip
    note = (
        f"single passes behind the first sample's prompt, {TIMES} of each in turns, the device "
        "synchronised after each; the draft's stages before decode by the host's clock"
    )
    return Grid("costs", "What passes cost", COSTS, rows, note=note)
