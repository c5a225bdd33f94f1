"""What a check finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tracekit.answers.audit import Finding
from tracekit.trace.trace import Trace

BY_TIME = ("devices", "stages", "idle", "tokens")
BY_LAUNCH = ("stages", "idle", "kernels", "launches", "tokens")
BOTH = tuple(dict.fromkeys(BY_TIME + BY_LAUNCH))
# whatever is a sum over the work of the devices
ALL_WORK = (*BOTH, "transfers", "roofline", "roles", "collectives")


Check = Callable[[Trace], Iterator[Finding]]
