"""Copies and communication that no other kernel covers."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.devices import Devices
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.units import share


def findings(result: Devices, _ask: Ask) -> Iterator[Draft]:
    """Of each device, where they take a part of its window."""
    for row in result.rows:
        for ns, kind, do in (
            (row.memcpy_ns, "copies", "Copy on another stream while kernels run."),
            (row.exposed_communication_ns, "communication",
             "Overlap communication with compute: smaller buckets, another stream."),
        ):  # fmt: skip
            if row.window_ns and ns / row.window_ns >= LEAST:
                yield Draft(
                    None,
                    f"Device {row.device} spends {share(ns / row.window_ns)} of its window on "
                    f"{kind} alone: no other kernel runs meanwhile.",
                    ns / row.window_ns, "share", ns, row.window_ns, do,
                )  # fmt: skip
