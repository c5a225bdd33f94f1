"""Names of any length and any letters: nothing takes long, no page grows, nothing is obeyed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tracekit.report import text, traces
from tracekit.results import engine
from tracekit.trace import redact

# each of them, repeated, is where a pattern that gives back what it has read does not end
PARTS = (
    "eyJ-", "eyJ", "eyJaaaaaaaaaa.", "a.", "a@b.-", "@", "a-b@c.", "_", "sk-", "ghp_", "/home/",
    "/root",
    "C:\\Users\\", "<", "void <", "a::", "(", ")", "[", "](", "`", "*", "|", " ", "\t",
    "\n", "\\", "1", "0x", ",", "#",
    "tracekit::", "ProfilerStep#1", "execute_context_1(", "gemm_", "_tn", "<int, ",
    "at::native::", "triton_", "fused_",
    "é", "\u202e", "\x1b[31m", "=", "nn.Module: ", ".py(1): ", "Memcpy HtoD ", "nccl", "aten::",
    "__", "- ",
)  # fmt: skip


def events(name: str) -> list[dict[str, object]]:
    """One name in every place where a name can stand."""
    found: list[dict[str, object]] = []
    for at, cat in enumerate(("user_annotation", "cpu_op", "python_function", "cuda_runtime")):
        found.append({"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": 1, "ts": at,
                      "dur": 50 - 2 * at, "args": {"correlation": 5}})  # fmt: skip
    found.append({"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": 7, "ts": 9, "dur": 9,
                  "args": {"correlation": 5, "stream": 7, "device": 0}})  # fmt: skip
    return found


def written(folder: Path, names: list[str]) -> Path:
    path = folder / "t.json"
    every = [event for name in names for event in events(name)]
    path.write_text(json.dumps({"env": {"A": names[0]}, "b": names[0], "traceEvents": every}))
    return path


def seconds(path: Path) -> float:
    begin = time.process_time()
    one = engine.answers(path)
    traces.render([one])
    text.markdown(one)
    return time.process_time() - begin


@pytest.mark.parametrize("part", PARTS, ids=ascii)
def test_scrub_reads_each_letter_a_few_times(part: str) -> None:
    long = part * (30_000 // len(part))
    begin = time.process_time()
    for hostile in (long, f"{long}@", f"{long}.", f"x@{long}"):
        redact.text(hostile)
        redact.leaks({"a": hostile}, [hostile])
    assert time.process_time() - begin < 1.0  # without an end before


def test_a_trace_of_hostile_names_takes_no_longer_than_others(tmp_path: Path) -> None:
    plainly = [f"{number} " + "ordinary " * 500 for number in range(len(PARTS) // 4)]
    hostile = [part * (4_500 // len(part)) for part in PARTS]
    seconds(written(tmp_path, ["warm"]))
    usual = seconds(written(tmp_path, plainly))
    assert seconds(written(tmp_path, hostile)) < 4 * 10 * usual


def test_the_page_keeps_its_size_whatever_names_hold(tmp_path: Path) -> None:
    many = engine.answers(written(tmp_path, [f"{n} " + "long<&" * 3500 for n in range(8)]))
    page = traces.render([many])
    assert len(page.encode()) < 2_000_000
    assert "characters …" in page
