"""Plotly's own bundle, packed for a page: gzip in base64, unpacked by the browser."""

from __future__ import annotations

import base64
import gzip
import importlib.util
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path

from tracekit.errors import TracekitError


def bundle() -> Path:
    """Where the installed plotly package keeps its script, found without importing plotly.

    Raises: TracekitError where plotly is not installed, or has no script.
    """
    found = importlib.util.find_spec("plotly")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / "package_data" / "plotly.min.js"
        if path.is_file():
            return path
    raise TracekitError(
        "plotly.min.js is missing", where="plotly", hint="reinstall it: pip install plotly"
    )


@cache
def packed() -> str:
    """The bundle as base64 of gzip; two fifths of its size, and it holds no `<`."""
    return base64.b64encode(gzip.compress(bundle().read_bytes(), 6, mtime=0)).decode()


def packing() -> Future[str]:
    """`packed()` begun on another thread, so that it costs no time beside the analyses."""
    pool = ThreadPoolExecutor(1)
    begun = pool.submit(packed)
    pool.shutdown(wait=False)
    return begun
