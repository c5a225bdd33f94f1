"""The compiled kernel: found in the cache, else made there by a process in the background.

What is loaded is an object file of some 33 kB. That takes llvmlite, which numba brings, and not
numba itself, whose import alone takes longer than reading 100 MB.
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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tracekit.files import writing
from tracekit.trace.columns import release
from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.asked import Kernel, Loops
from tracekit.trace.spans import compiled

_BOOT = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from tracekit.trace.scan.machine import make; make(sys.argv[1])"
)
_WORTH_SAYING = 100 << 20
_DIGEST = hashlib.sha256().digest_size  # bytes after the machine code
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
    """Of numba and llvmlite; None where one is not installed."""
    found = [_version(name) for name in ("numba", "llvmlite")]
    return None if None in found else " ".join(map(str, found))


def _version(package: str) -> str | None:
    """By the name of its metadata beside it: what reads these takes 0.02 s to load."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    beside = [path.name for path in Path(spec.origin).parents[1].glob(f"{package}-*.dist-info")]
    if len(beside) == 1:
        return beside[0].removeprefix(f"{package}-").removesuffix(".dist-info")
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def folder() -> Path:
    """Where machine code is kept, also when the cache of traces is off."""
    given = os.environ.get("TRACEKIT_CACHE", "")
    if given and given.lower() not in ("off", "0", "no"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tracekit"


def place(llvm: Any) -> Path:
    """The file of machine code of this source, for this processor."""
    digest = hashlib.sha256(f"{_versions()} {llvm.get_host_cpu_name()} {sys.platform} ".encode())
    digest.update(llvm.get_host_cpu_features().flatten().encode())
    for name in (
        "machine",
        "build",
        "grammar",
        "values",
        "stacks",
        "graphs/steps",
        "loops",
        "kernel",
        "layout",
        "memory",
    ):
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return folder() / f"scan-{digest.hexdigest()[:24]}.o"


@cache
def kernel() -> Kernel | None:
    """The kernel as machine code; None where it is not there (yet), and then it is being made."""
    if not installed():
        return None
    import llvmlite.binding as llvm

    path = place(llvm)
    code = _kept(path)
    if code is None:
        _start(path)
        return None
    found = _loaded(llvm, code)
    release.code_of("llvmlite")
    compiled.loops = Loops(found)
    return found


def _kept(path: Path) -> bytes | None:
    """The machine code in a file; None where it is not there, or not whole: LLVM ends the process
    that gives it anything else, as a file may be after the power failed."""
    try:
        kept = path.read_bytes()
    except OSError:
        return None
    code, said = kept[:-_DIGEST], kept[-_DIGEST:]
    return code if hashlib.sha256(code).digest() == said else None


def _loaded(llvm: Any, code: bytes) -> Kernel:
    machine = lay.target_machine(llvm)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    # numba's convention: status, (where the result goes, where an exception would, the argument)
    called = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(
        engine.get_function_address(lay.SYMBOL)
    )

    def scan(block: int) -> int:
        result, fault = ctypes.c_int64(0), ctypes.c_void_p(None)
        status = called(ctypes.addressof(result), ctypes.addressof(fault), block)
        assert status == 0, status
        return result.value

    vars(scan)["engine"] = engine  # the code lives as long as its engine
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
            Path(temporary).write_bytes(code + hashlib.sha256(code).digest())
    finally:
        lock.unlink(missing_ok=True)
