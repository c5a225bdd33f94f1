"""Device windows against figures computed independently."""

import json
from pathlib import Path

import pytest

from analyses import devices
from tests.conftest import SHARED, shared
from tracekit import kineto
from tracekit.errors import MissingEventsError

NAMES = sorted(p.stem for p in (SHARED / "traces" / "expected").glob("*.json"))


def trace_file(name: str) -> Path:
    for ending in (".json.gz", ".json"):
        path = SHARED / "traces" / f"{name}{ending}"
        if path.exists():
            return path
    pytest.skip(f"no single trace behind {name}")


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_the_split_equals_the_independent_figures(name: str) -> None:
    expected = json.loads(shared("traces", "expected", f"{name}.json").read_text())
    trace = kineto.load(trace_file(name))
    brute = expected["brute_force"]["devices"]
    if not brute:
        with pytest.raises(MissingEventsError):
            devices.devices(trace)
        return
    for row in devices.devices(trace).rows:
        want = brute[str(row.device)]
        assert row.start_ns + trace.origin_ns == want["window_start_ns"]
        assert row.window_ns == want["window_ns"]
        assert row.busy_ns == want["busy_ns"]
        assert row.kernel_ns == want["kernel_union_ns"]
        assert row.memcpy_ns == want["memcpy_exposed_ns"]
        assert row.memset_ns == want["memset_exposed_ns"]
        assert row.idle_ns == want["idle_ns"]
        assert row.kernel_count == want["n_kernel"]
