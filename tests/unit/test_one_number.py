"""Equal labels have equal values: in tiles, tables, charts, sentences and findings."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings

from tests import real
from tests.drawing import draw
from tests.random_traces import traces
from tests.real import EVERY
from tests.shown_numbers import contradictions, numbers
from tracekit.answers.devices import Devices
from tracekit.report.one.overview import overview
from tracekit.results import engine
from tracekit.results.answers import Answers
from tracekit.results.trust import worst
from tracekit.trace.trace import Trace

LEVELS = {"trusted": "", "degraded": "warn", "refused": "bad"}


@pytest.mark.parametrize("name", EVERY or ["none"])
def test_a_report_says_one_number_and_one_verdict(name: str) -> None:
    one = real.answers(name)
    found = numbers(one)
    assert found or not one.gpu
    assert not contradictions(found)
    _agrees_with_itself(one)


def _agrees_with_itself(one: Answers) -> None:
    """The banner is as good as the answers, and no sentence of it is another device window."""
    view = overview(one)
    given = worst(trust.verdict for trust in one.trust.values())
    for verdict in view.verdicts:
        assert verdict.level == LEVELS[given] or "as far as it is answered" in verdict.word
        windows = re.findall(r"\bwindow\b[^.]*?([\d.]+ (?:ns|µs|ms|s))\b", verdict.text)
        devices = one.get(Devices)
        shown = next((t.value for t in view.tiles if t.label == "Device window"), "")
        assert devices is None or len(devices.rows) > 1 or set(windows) <= {shown}
    cpu_only = any("CPU events only" in note for note in view.notes)
    assert not (cpu_only and any(t.label.startswith(("GPU", "Device")) for t in view.tiles))


@given(traces())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_so_it_is_on_any_trace(trace: Trace) -> None:
    one = engine.of_trace(trace)
    assert not contradictions(numbers(one))


def test_the_windows_of_two_devices_are_never_added_up() -> None:
    one = engine.of_trace(
        draw(
            """
        host          a.b.c.d.......
        device 0 stream 7  .AAAA.........
        device 1 stream 7  ..BB.......CC.
    """.replace("device 0 stream 7  ", "device 0 stream 7  ")
        )
    )
    tiles = {tile.label: tile for tile in overview(one).tiles}
    assert tiles["Device window"].value == "4.00\u00a0µs – 11.0\u00a0µs"
    assert tiles["GPU busy"].value == "36.4% – 100.0%"
    assert tiles["GPU idle"].sub == "least device 0, most device 1"
