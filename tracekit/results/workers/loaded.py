"""Loads what workers need, once, in the process from which all of this machine are forked."""

from __future__ import annotations

import os
import signal

# Ctrl-C in a terminal reaches every process of it: the first one decides what it means
signal.signal(signal.SIGINT, signal.SIG_IGN)
# before numpy is: each worker has one thread
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from tracekit.results import catalog, engine  # noqa: E402

ANALYSES = tuple(catalog.analysis(name).title for name in engine.wanted(None))
