"""What a shared trace must not carry."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.real import loaded
from tracekit.cli.app import app
from tracekit.trace import redact

SECRET = "hf_" + "Ab1" * 10


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"token {SECRET}!", "token REDACTED!"),
        ("/home/anna/miniconda/lib/x.py(3): f", "~/miniconda/lib/x.py(3): f"),
        ("/Users/anna/x.py", "~/x.py"),
        (r"C:\Users\anna\x.py", r"~\x.py"),
        ("/root/run.py(1): main", "~/run.py(1): main"),
        ("anna@lab.example", "REDACTED"),
        ("void at::native::elementwise<4>(int)", "void at::native::elementwise<4>(int)"),
        ("aten::add", "aten::add"),
        ("/usr/lib/python3/root/x.py", "/usr/lib/python3/root/x.py"),
    ],
)
def test_text_loses_what_names_a_person_and_nothing_else(before: str, after: str) -> None:
    assert redact.text(before) == after


def test_environment_packages_and_names_are_removed_at_any_depth() -> None:
    meta = {
        "schemaVersion": 1,
        "metadata": {
            "env": {"HF_TOKEN": SECRET, "PATH": "/usr/bin"},
            "pip_packages": ["torch==2.6"],
            "system": {"uname": {"node": "gpu-box-7", "release": "6.8"}},
            "wandb_api_key": "plain",
        },
        "tokens": {"prompt": 81},
    }
    clean = redact.value(meta)
    assert clean["metadata"] == {
        "system": {"uname": {"node": "REDACTED", "release": "6.8"}},
        "wandb_api_key": "REDACTED",
    }
    assert clean["tokens"] == {"prompt": 81}
    assert redact.leaks(meta) == {
        "environment variables": 2,
        "package list": 1,
        "access token": 2,
        "host or user name": 1,
    }
    assert redact.leaks(clean) == {}


@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_scrubbing_twice_changes_nothing_more(item: object) -> None:
    once = redact.value(item)
    assert redact.value(once) == once
    json.dumps(once)


def test_a_public_trace_is_found_to_carry_its_authors_environment() -> None:
    trace = loaded("tl_h100_nsfw")
    found = redact.leaks(trace.source.meta, trace.strings)
    assert found["environment variables"] > 10
    assert found["host or user name"] >= 1
    assert redact.leaks(redact.value(dict(trace.source.meta))) == {}


def test_analyze_warns_of_what_a_trace_carries(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.json"
    event = {"ph": "X", "cat": "cpu_op", "name": "aten::add", "pid": 1, "tid": 1, "ts": 1, "dur": 1}
    path.write_text(json.dumps({"env": {"HF_TOKEN": SECRET}, "traceEvents": [event]}))
    with pytest.raises(SystemExit):
        app(["analyze", str(path), "--only", "audit", "--json"])
    said = capsys.readouterr()
    assert "access token" in said.err
    assert "export --scrub" in said.err
    assert SECRET not in said.out + said.err
