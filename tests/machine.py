"""The machine code of the scanner and of loops over columns."""

import subprocess
import sys
import time
from functools import cache

import pytest

from tracekit.trace.scan import asked, machine


@cache
def compiled() -> asked.Kernel:
    """The kernel as machine code, made by whichever worker asks first."""
    if not machine.installed():
        pytest.skip("numba is not installed")
    import llvmlite.binding as llvm

    path, until = machine.place(llvm), time.monotonic() + 300
    while not path.exists() and time.monotonic() < until:
        code = "import sys; from tracekit.trace.scan.machine import make; make(sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
        time.sleep(0.2)
    machine.kernel.cache_clear()
    found = machine.kernel()
    assert found is not None
    return found
