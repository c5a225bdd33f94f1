"""A run that was cut short, on a GPU: what is kept, drawn by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tracekit.capture import save
from tracekit.capture.description import token_counts
from tracekit.capture.recorder import Request
from tracekit.models.entry import Facts
from tracekit.taxonomy import SAMPLE


def event(name: str, cat: str, ts: int, dur: int, correlation: int | None = None) -> dict[str, Any]:
    args = {} if correlation is None else {"correlation": correlation}
    return {"ph": "X", "name": name, "cat": cat, "pid": 1, "tid": 1, "ts": ts, "dur": dur,
            "args": args}  # fmt: skip


def arrow(phase: str, correlation: int, ts: int) -> dict[str, Any]:
    return {"ph": phase, "id": correlation, "cat": "ac2g", "name": "ac2g", "pid": 1, "tid": 1,
            "ts": ts}  # fmt: skip


#   host    [sample 0    a ]   [sample 1   b | Ctrl-C
#   device                  AAAA   (late)        BB
EVENTS = [
    {"ph": "M", "name": "process_name", "pid": 1, "ts": 0, "args": {"name": "python"}},
    event(f"{SAMPLE}0", "user_annotation", 10, 90),
    event("cudaLaunchKernel", "cuda_runtime", 90, 5, 1),
    arrow("s", 1, 90),
    event("A", "kernel", 110, 40, 1),
    arrow("f", 1, 110),
    event(f"{SAMPLE}1", "user_annotation", 105, 100),
    event("cudaLaunchKernel", "cuda_runtime", 150, 5, 2),
    arrow("s", 2, 150),
    event("B", "kernel", 160, 20, 2),
    arrow("f", 2, 160),
]


def test_work_goes_with_the_call_that_launched_it() -> None:
    kept = save.first_samples([dict(e) for e in EVENTS], 1)
    names = [(e["name"], e["ph"]) for e in kept]
    assert names == [
        ("process_name", "M"), (f"{SAMPLE}0", "X"), ("cudaLaunchKernel", "X"), ("ac2g", "s"),
        ("A", "X"), ("ac2g", "f"),
    ]  # fmt: skip


def test_only_an_allow_list_of_torchs_keys_is_kept(tmp_path: Path) -> None:
    exported = tmp_path / "in.json"
    exported.write_text(json.dumps({
        "schemaVersion": 1, "host_name": "secret-host", "traceName": "/home/me/x.json",
        "environment": {"TOKEN": "secret"}, "traceEvents": EVENTS,
    }))  # fmt: skip
    save.save(exported, tmp_path / "out.json", {"schema": "s"})
    text = (tmp_path / "out.json").read_text()
    found = json.loads(text)
    assert set(found) == {
        "schemaVersion", "tracekit", "traceName", "baseTimeNanoseconds", "traceEvents",
    }  # fmt: skip
    assert found["traceName"] == "out.json"
    assert "secret" not in text


def test_lengths_that_differ_between_requests_are_not_stated_as_one() -> None:
    facts = Facts(
        model="m", size="tiny", parameters={}, random_weights=True, dims={}, tokenizer="",
        attention="", cache="",
    )  # fmt: skip

    def counts(*lengths: tuple[int, int]) -> dict[str, Any]:
        return token_counts(facts, [
            Request("s", {}, sensor_tokens=sensor, prefill_tokens=filled, generated=3)
            for sensor, filled in lengths
        ])  # fmt: skip

    assert counts((4, 10), (4, 10)) == {
        "prompt": 6, "sensor": 4, "tags": 0, "prefill": 10, "prefill_each": [10, 10],
        "generated": [3, 3],
    }  # fmt: skip
    assert counts((4, 10), (4, 12)) == {
        "prompt": None, "sensor": 4, "tags": None, "prefill": None, "prefill_each": [10, 12],
        "generated": [3, 3],
    }  # fmt: skip
    assert counts((4, 10), (5, 10))["prompt"] is None
