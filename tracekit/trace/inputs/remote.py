"""Patterns and folders at an address, `s3://bucket/run/*/rank*.json.gz`, through fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tracekit import extras
from tracekit.errors import TracekitError, reason
from tracekit.trace.inputs import archives


def expanded(address: str) -> list[str] | None:
    """The traces that a pattern matches, or that lie in a folder; None for any other address.

    A folder's address ends in a slash: of any other nothing is asked before it is read.

    Raises: TracekitError where nothing is there, or it cannot be asked.
    """
    protocol, _, rest = address.partition("://")
    # of the path alone: `?` begins a query, and a host may stand in brackets
    path = rest.partition("/")[2].partition("?")[0]
    folder = address.endswith("/")
    if protocol == "file" or not (folder or "*" in path or "[" in path):
        return None
    extras.need("remote", "fsspec", where=address)
    import fsspec

    with _faults(address):
        system, path = fsspec.core.url_to_fs(address)
        every = system.find(path) if folder else system.glob(path)
        # find gives files; glob gives folders too
        found = [one for one in every if folder or system.isfile(one)]
        if folder:
            found = [one for one in found if archives.is_trace_name(one.removeprefix(path))]
        names = [str(system.unstrip_protocol(one)) for one in found]
    if not names:
        raise TracekitError(
            "holds no trace (.json, .json.gz)" if folder else "matches no file",
            where=address, hint="check the address",
        )  # fmt: skip
    return names


@contextmanager
def _faults(address: str) -> Iterator[None]:
    """What a protocol's own library raises, as something that can be acted on."""
    try:
        yield
    except ImportError as fault:
        raise extras.MissingExtraError(
            f"needs what is not installed ({reason(fault)})",
            where=address, hint=extras.install("remote"),
        ) from None  # fmt: skip
    except Exception as fault:
        # each protocol raises errors of its own library: all mean that it cannot be had
        raise TracekitError(
            f"cannot be listed ({type(fault).__name__}: {reason(fault)})",
            where=address, hint="check the address and your access to it",
        ) from None  # fmt: skip
