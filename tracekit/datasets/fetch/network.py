"""Faults of a download that are the network's or the server's, as one clear line."""

from __future__ import annotations

import errno
import socket

from tracekit.errors import TracekitError, reason

_LIBRARIES = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"})
_DISK = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.ENOTDIR,
    errno.EEXIST, errno.EISDIR,
})  # fmt: skip
AGAIN = "what has come is kept: run the same command again to go on"


def is_fault(fault: BaseException) -> bool:
    """Whether a library of the network raised it, or the system did."""
    return isinstance(fault, OSError) or type(fault).__module__.split(".")[0] in _LIBRARIES


def failed(fault: BaseException, where: object) -> TracekitError:
    """The error to raise: no network, a server that refuses, or no room on the disk."""
    said = reason(fault)
    if isinstance(fault, OSError) and fault.errno in _DISK:
        return TracekitError(
            f"cannot be kept ({said})", where=where, hint="is there room, and may you write there?"
        )
    if _cut_off(fault):
        return TracekitError(
            f"cannot be reached ({said})",
            where=where,
            hint="is there a network? then run the same command again: what had come is kept",
        )
    return TracekitError(f"cannot be fetched ({said})", where=where, hint=AGAIN)


def _cut_off(fault: BaseException | None) -> bool:
    """Whether nothing came from the other side: no name, no way, no answer."""
    if fault is None:
        return False
    if isinstance(fault, socket.gaierror | ConnectionRefusedError | TimeoutError):
        return True
    if type(fault).__name__ in ("ConnectError", "ConnectTimeout", "NewConnectionError",
                                "NameResolutionError", "ConnectionError"):  # fmt: skip
        return True
    return _cut_off(fault.__cause__ or fault.__context__)
