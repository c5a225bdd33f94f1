"""The compiled kernel: found in the cache, else made there by a process in the background.

What is loaded is an object file of some 33 kB: by `placed`, elsewhere by llvmlite, which numba
brings, and not by numba itself, whose import alone takes longer than reading 100 MB.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from tracekit.files import writing
from tracekit.trace.columns import release
from tracekit.trace.scan import layout as lay
from tracekit.trace.scan import placed
from tracekit.trace.scan.asked import Kernel, Loops
from tracekit.trace.spans import compiled

_BOOT = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from tracekit.trace.scan.machine import make; make(sys.argv[1])"
)
_WORTH_SAYING = 100 << 20
_OF_PROCESSOR = (  # of /proc/cpuinfo, x86 and Arm
    "flags", "Features", "vendor_id", "cpu family", "model", "model name", "stepping",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part",
)  # fmt: skip
_STALE_S = 300  # a lock older than this is of a process that ended


def installed() -> bool:
    """Whether what compiles and loads the kernel is installed."""
    return _versions() is not None


def advice(text_bytes: int) -> str | None:
    """What would read so large a text faster; None where nothing would, or where it was said."""
    if text_bytes < _WORTH_SAYING or installed():
        return None
    said = folder() / "said-fast"
    try:
        said.parent.mkdir(parents=True, exist_ok=True)
        said.touch(exist_ok=False)
    except OSError:
        return None  # said before, or it could not be remembered: then not each time
    return "faster: pip install 'tracekit[fast]' reads traces like this one in a third of the time"


@cache
def _versions() -> str | None:
    from importlib import metadata

    try:
        return f"{metadata.version('numba')} {metadata.version('llvmlite')}"
    except metadata.PackageNotFoundError:
        return None


def folder() -> Path:
    """Where machine code is kept, also when the cache of traces is off."""
    given = os.environ.get("TRACEKIT_CACHE", "")
    if given and given.lower() not in ("off", "0", "no"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tracekit"


def place() -> Path:
    """The file of machine code of this source, for this processor."""
    digest = hashlib.sha256(f"{_versions()} {sys.platform} {_processor()}".encode())
    for name in ("build", "grammar", "values", "loops", "kernel", "layout", "memory"):
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return folder() / f"scan-{digest.hexdigest()[:24]}.o"


def _processor() -> str:
    """What tells processors apart that run different code."""
    said: dict[str, str] = {}
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if not key.strip() and said:
                break  # the next processor
            if key.strip() in _OF_PROCESSOR:
                said[key.strip()] = value.strip()
    if _OF_PROCESSOR[0] in said or _OF_PROCESSOR[1] in said:
        return f"{os.uname().machine} {said}"
    import llvmlite.binding as llvm

    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"


@cache
def kernel() -> Kernel | None:
    """The kernel as machine code; None where it is not there (yet), and then it is being made."""
    if not installed():
        return None
    path = place()
    try:
        code = path.read_bytes()
    except OSError:
        _start(path)
        return None
    quick = placed.placed(code)
    if quick is not None and lay.SYMBOL in quick.symbols:
        found = called(quick.symbols[lay.SYMBOL], quick)
    else:
        found = by_llvm(code)
        release.code_of("llvmlite")
    compiled.loops = Loops(found)
    return found


def by_llvm(code: bytes) -> Kernel:
    """The kernel of an object file, on any system that LLVM knows."""
    import llvmlite.binding as llvm

    from tracekit.trace.scan.build import target_machine

    machine = target_machine(llvm)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return called(engine.get_function_address(lay.SYMBOL), engine)


def called(address: int, owner: object) -> Kernel:
    """The function at an address, in code that lives as long as its owner."""
    # numba's convention: status, (where the result goes, where an exception would, the argument)
    called = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(
        address
    )

    def scan(block: int) -> int:
        result, fault = ctypes.c_int64(0), ctypes.c_void_p(None)
        status = called(ctypes.addressof(result), ctypes.addressof(fault), block)
        assert status == 0, status
        return result.value

    vars(scan)["owner"] = owner
    return scan


def _start(path: Path) -> None:
    """Compiles in a process of its own, which may outlive this one by seconds."""
    with suppress(OSError):
        subprocess.Popen(
            [sys.executable, "-c", _BOOT, str(path), *sys.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def make(target: str | Path) -> None:
    """Compiles into a file, unless another process is at it."""
    path = Path(target)
    lock = path.with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        if time.time() - lock.stat().st_mtime > _STALE_S:
            lock.unlink()
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return
    try:
        if hasattr(os, "nice"):
            os.nice(5)
        from tracekit.trace.scan.build import machine_code

        code = machine_code()
        with writing(path) as temporary:
            Path(temporary).write_bytes(code)
    finally:
        lock.unlink(missing_ok=True)
