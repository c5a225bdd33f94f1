"""What the file of a benchmark says of itself, as its page shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tracekit.bench import file, statistics, tables
from tracekit.bench.file import Row
from tracekit.report.benchmark import About
from tracekit.results.first_screen import KeyNumber, Verdict
from tracekit.results.units import bytes_, duration, plural, share, tokens
from tracekit.trace.capture_facts import caution


def about(content: Mapping[str, Any]) -> About:
    """Of the content that `file.document` makes."""
    return About(
        title=str(content["title"]),
        device=str(content["environment"]["device"]["name"]),
        finished=str(content["finished"]),
        command=str(content["command"]),
        facts=[(name, _say(value)) for name, value in _facts(content) if value is not None],
        # the raw times stay in the JSON file beside the page
        data={key: value for key, value in content.items() if key != "configurations"},
        headline=_headline(content),
        verdict=_verdict(content),
        notes=tuple(filter(None, [_caution(content)])),
        tiles=_key_numbers(content),
    )


def _caution(content: Mapping[str, Any]) -> str:
    """What must be known before a time is quoted; empty for a published network."""
    row = content["configurations"][0] if content["configurations"] else {}
    size, random = row.get("options", {}).get("size"), row.get("checkpoint") is None
    return caution(str(content["title"]), size, random)


def _timed(content: Mapping[str, Any]) -> list[Row]:
    return [row for row in content["configurations"] if row.get("samples")]


def _headline(content: Mapping[str, Any]) -> str:
    """The latencies of one configuration, and the stage with most of them; of a sweep the best."""
    rows = _timed(content)
    if not rows:
        return ""
    if len(content["configurations"]) > 1:
        return _of_sweep(rows)
    times = file.measures(rows[0])
    medians = {name: found.median for name, values in times.items()
               if (found := statistics.summarize(values)) is not None}  # fmt: skip
    latencies = (("TTFT", "ttft"), ("TPOT", "tpot"))
    said = [f"{label} {duration(medians[key])}" for label, key in latencies if key in medians]
    stages = {stage: medians[stage] for stage in file.STAGES if stage in medians}
    whole, top = sum(stages.values()), max(stages, key=lambda stage: stages[stage], default="")
    request = f"A request takes {duration(medians['request'])}" if "request" in medians else ""
    most = f"{top} is {share(stages[top] / whole, 0)} of it" if whole else ""
    parts = [", ".join(filter(None, [request, most])), ", ".join(said)]
    return f"{'; '.join(filter(None, parts))} (medians)."


def _of_sweep(rows: list[Row]) -> str:
    """The configuration with most tokens a second, and the one with the shortest first token."""
    found = []
    for row in rows:
        times = file.measures(row)
        per_s = file.rates(row).get("decode tokens/s", [])
        found.append((
            file.label(row) or "request",
            (statistics.summarize(times.get("ttft", [])), statistics.summarize(per_s)),
        ))  # fmt: skip
    said = []
    fastest = [(one.median, label) for label, (_, one) in found if one is not None]
    if fastest:
        number, label = max(fastest)
        said.append(f"most tokens a second at {label}: {tokens(number)}")
    first = [(one.median, label) for label, (one, _) in found if one is not None]
    if first:
        ns, label = min(first)
        said.append(f"shortest TTFT at {label}: {duration(ns)}")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]} (medians of {plural(len(rows), 'configuration')})."


def _verdict(content: Mapping[str, object]) -> Verdict | None:
    """Whether the numbers may be quoted, with the first reason against it."""
    rows = _timed(content)
    if not rows:
        return Verdict("bad", "No numbers", "No configuration gave any.")
    notes = [(row, note) for row in rows for note in tables.notes(row)]
    doubts = [(row, note) for row, note in notes if not note.endswith("fresh processes")]
    fewest = min(len(row["samples"]) for row in rows)
    runs = min(len(file.by_run(row)) for row in rows)
    if doubts:
        row, note = doubts[0]
        where = f"{file.label(row)}: " if row.get("axes") else ""
        more = f" And {plural(len(doubts) - 1, 'more reason')} below." if len(doubts) > 1 else ""
        return Verdict("warn", "Quote with care", f"{where}{note}.{more}")
    if runs < 2:
        return Verdict(
            "warn", "One process", f"{plural(fewest, 'request')} in one process: what differs from "
            "process to process is not in the intervals (--runs).",
        )  # fmt: skip
    return Verdict("", "Steady", f"{plural(runs, 'fresh process', 'fresh processes')}, {fewest} "
                   "requests at least, no noise above its limits.")  # fmt: skip


def _key_numbers(content: Mapping[str, object]) -> tuple[KeyNumber, ...]:
    """The large numbers of one configuration, each with its interval; none of a sweep."""
    rows = _timed(content)
    if len(rows) != 1:
        return ()
    row, found = rows[0], list[KeyNumber]()
    times = file.measures(row)
    for label, key in (("TTFT", "ttft"), ("TPOT", "tpot"), ("Request", "request")):
        one = statistics.summarize(times.get(key, []))
        if one is not None:
            known = one.low is not None and one.high is not None
            sub = f"{duration(one.low)} to {duration(one.high)}" if known else "too few to say"
            found.append(KeyNumber(label, duration(one.median), sub, file.DEFINITIONS[key]))
    for label, key in (("Decode", "decode tokens/s"), ("Prefill", "prefill tokens/s")):
        one = statistics.summarize(file.rates(row).get(key, []))
        if one is not None:
            found.append(KeyNumber(label, tokens(one.median), "tokens/s", file.DEFINITIONS[key]))
    memory = row.get("memory") or {}
    peak, host = memory.get("device_peak_bytes"), memory.get("host_peak_bytes")
    if peak is not None or host is not None:
        where = "of the device" if peak is not None else "of the process"
        found.append(KeyNumber("Memory", bytes_(peak if peak is not None else host), where))
    return tuple(found)


def _facts(content: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    where, rows = content["environment"], content["configurations"]
    options = rows[0]["options"] if rows else {}
    swept = set(rows[0]["axes"]) if rows else set()
    yield "model", content["model"]
    yield from ((k.replace("_", " "), v) for k, v in options.items() if k not in swept)
    yield from where["versions"].items()
    yield from (("driver", where["driver"]), ("commit", where["commit"]))
    yield from ((k.replace("_", " "), v) for k, v in where["clocks"].items())
    if where["load_average"]:
        yield "load average", " ".join(f"{v:.1f}" for v in where["load_average"])


def _say(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
