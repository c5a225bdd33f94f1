"""How well traces are replayed with nothing changed: the table of docs/whatif.md.

    python scripts/replay_residuals.py TRACE…
    python scripts/replay_residuals.py --write TRACE…       # into docs/whatif.md

One row a trace: its longest stage on both clocks, and the device window.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tracekit.answers.whatif import Replayed, WhatIf  # noqa: E402
from tracekit.attribution.replay.predict import DEVICE_CLOCK, HOST_CLOCK, WORK_CLOCK  # noqa: E402
from tracekit.errors import TracekitError  # noqa: E402
from tracekit.results import catalog  # noqa: E402
from tracekit.trace import kineto  # noqa: E402

HEAD = (
    "| trace | streams | longest stage, host wall | to the end of its GPU work | device window "
    "| unexplained | given |\n| --- | --- | --- | --- | --- | --- | --- |"
)


def rows(paths: list[Path]) -> Iterator[str]:
    """A row of Markdown for each trace."""
    for path in paths:
        name = path.name.split(".")[0]
        try:
            trace = kineto.load(path)
            found = catalog.ask(trace, WhatIf).replays
        except TracekitError as fault:
            why = str(fault).split(": ", 1)[-1].split(",")[0].split(";")[0]
            yield f"| {name} | | | | | | refused: {why} |"
            continue
        streams = sum(len(set(trace.stream[trace.device == d].tolist())) for d in trace.devices)
        device = next(one for one in found if one.clock == DEVICE_CLOCK)
        host = max(
            (one for one in found if one.clock == HOST_CLOCK),
            key=lambda one: one.measured_ns, default=None,
        )  # fmt: skip
        work = next(
            (one for one in found if host and (one.stage, one.clock) == (host.stage, WORK_CLOCK)),
            None,
        )
        cells = " | ".join(residual(one) for one in (host, work, device))
        lag = max(one.lag_share for one in (host, work, device) if one)
        gives = " / ".join(dict.fromkeys(one.gives for one in (host, work, device) if one))
        yield f"| {name} | {streams} | {cells} | {lag:.1%} | {gives} |"


def residual(one: Replayed | None) -> str:
    return f"{one.residual:+.3%}" if one is not None else "–"


def written(table: list[str]) -> None:
    """The table of docs/whatif.md is what stands there from its head on."""
    page = ROOT / "docs" / "whatif.md"
    before, _, _ = page.read_text(encoding="utf-8").partition(HEAD)
    page.write_text("\n".join([f"{before}{HEAD}", *table, ""]), encoding="utf-8")


if __name__ == "__main__":
    print(HEAD)
    made = []
    for row in rows([Path(text) for text in sys.argv[1:] if text != "--write"]):
        made.append(row)
        print(row, flush=True)
    if "--write" in sys.argv[1:]:
        written(made)
