"""Downloads through the libraries that exist for them. Nothing that differs is overwritten."""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tracekit import extras
from tracekit.datasets.fetch import network
from tracekit.errors import TracekitError

Download = Callable[..., None]  # (folder, *, subset=None, force=False)


def by_https(url: str, *, known_hash: str | None = None, size: int | None = None) -> Download:
    """Fetches one file with pooch, resuming what was begun, and unpacks it if it is an archive.

    `known_hash` as in 'sha256:…' or 'md5:…'; None where nobody has published one.
    """

    def download(folder: Path, *, subset: str | None = None, force: bool = False) -> None:
        from tracekit.datasets.fetch import unpack

        _no_subset(url, subset)
        name = unquote(urlsplit(url).path).rsplit("/", 1)[-1].replace("+", "_")
        path = https(url, folder, name, known_hash=known_hash, size=size, force=force)
        if unpack.is_archive(path):
            unpack.unpack(path, folder, force=force)

    return download


def https(
    url: str,
    folder: Path,
    name: str,
    *,
    known_hash: str | None = None,
    size: int | None = None,
    check: Callable[[Path], None] = lambda _path: None,
    force: bool = False,
) -> Path:
    """The fetched file. One that is there already and whole is not fetched again.

    What comes takes its name once it has the published size and hash, and `check` is content.

    Raises: TracekitError where a different file has that name, where another process fetches into
    the folder, where the server fails, where the bytes are not those that were published; and what
    `check` raises.
    """
    extras.need("datasets", "pooch", "requests", where=url)
    path = folder / name
    with _made(folder), _alone(folder):
        if not path.exists() or force:
            _fetch(url, path, known_hash, size, check)
        elif _differs(path, known_hash, size):
            raise TracekitError(
                "a file of that name is here, and it is not the published one",
                where=path,
                hint="move it away, or overwrite it with --force",
            )
        else:
            check(path)
    return path


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """The folder is there; where nothing came into it, what was made of its path goes again."""
    new = [part for part in (folder, *folder.parents) if not part.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise network.failed(fault, folder) from None
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the first that holds something ends it
            for part in new:
                part.rmdir()
        raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While no other process fetches into the folder.

    Raises: TracekitError where one does: it would write into the same `.part`.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TracekitError(
                "another process is fetching into this folder",
                where=folder,
                hint="wait for it to end, then run the same command again",
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(held)


def _fetch(
    url: str, path: Path, known_hash: str | None, size: int | None, check: Callable[[Path], None]
) -> None:
    """Puts the published file at `path`, or raises what `https` raises."""
    from tracekit.datasets.fetch.resume import Resuming

    # an older file stays until this one is whole; the ending stays for those that look at it
    new = path.with_name(f"{path.stem}.new{path.suffix}")
    try:
        new.unlink(missing_ok=True)
        Resuming(path.with_name(f"{path.name}.part"), size)(url, new)
        if differs := _differs(new, known_hash, size):
            raise TracekitError(
                f"the bytes are not those that were published ({differs})",
                where=url,
                hint="try again; if it stays so, the publisher has changed the file",
            )
        check(new)
        os.replace(new, path)
    except OSError as fault:  # requests' errors are OSErrors too
        raise network.failed(fault, url) from None
    finally:
        new.unlink(missing_ok=True)


def _differs(path: Path, known_hash: str | None, size: int | None) -> str:
    """What of a file is not as it was published, in words; empty for nothing."""
    import pooch

    there = path.stat().st_size
    if not there or (size is not None and there != size):
        return f"{there:,} bytes" + (f", not {size:,}" if size is not None else "")
    if known_hash is not None and not pooch.hashes.hash_matches(str(path), known_hash):
        return f"another {known_hash.partition(':')[0]}"
    return ""


def by_hub(
    repository: str,
    *,
    revision: str | None = None,
    patterns: Mapping[str, Sequence[str]] | None = None,
) -> Download:
    """Fetches a Hugging Face data set; `patterns` has the files of each subset, '' those of all."""

    def download(folder: Path, *, subset: str | None = None, force: bool = False) -> None:
        wanted = dict(patterns or {})
        if subset and subset not in wanted:
            _no_subset(repository, subset, wanted)
        hub(repository, folder, revision, wanted.get(subset or "", ["*"]), force=force)

    return download


def hub(
    repository: str, folder: Path, revision: str | None, allow: Sequence[str], *, force: bool
) -> None:
    """snapshot_download into `folder`, after a look at what lies there.

    Raises: TracekitError where huggingface_hub is absent, the data set is gated or out of reach,
    or a file here differs from the published one and `force` is off.
    """
    extras.need("datasets", "huggingface_hub", where=repository)
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    where = f"https://huggingface.co/datasets/{repository}"
    try:
        info = huggingface_hub.HfApi().dataset_info(
            repository, revision=revision, files_metadata=True
        )
        if not force:
            _refuse_what_differs(info.siblings or [], folder, allow)
        huggingface_hub.snapshot_download(
            repository,
            repo_type="dataset",
            revision=revision,
            allow_patterns=list(allow),
            local_dir=folder,
            force_download=force,
        )
    except GatedRepoError:
        raise TracekitError(
            "access has to be asked for", where=where, hint="ask there, then: hf auth login"
        ) from None
    except RepositoryNotFoundError:
        raise TracekitError(
            "no such data set, or it is private", where=where, hint="hf auth login"
        ) from None
    except Exception as fault:  # the Hub's library raises those of the one below it too
        if not isinstance(fault, HfHubHTTPError) and not network.is_fault(fault):
            raise
        raise network.failed(fault, where) from None


def _refuse_what_differs(siblings: Sequence[Any], folder: Path, allow: Sequence[str]) -> None:
    import hashlib

    for one in siblings:
        path = folder / one.rfilename
        if not any(fnmatch.fnmatch(one.rfilename, a) for a in allow) or not path.is_file():
            continue
        differs = one.size is not None and path.stat().st_size != one.size
        published = getattr(one.lfs, "sha256", None) if one.lfs else None
        if not differs and published:
            with open(path, "rb") as file:
                differs = hashlib.file_digest(file, "sha256").hexdigest() != published
        if differs:
            raise TracekitError(
                "this file differs from the published one",
                where=path,
                hint="move it away, or overwrite it with --force",
            )


def by_command(
    command: Callable[[Path, str | None], Sequence[str]], *, package: str, licence_at: str
) -> Download:
    """Runs the authors' own program, which needs AWS keys that come with a signed licence."""

    def download(folder: Path, *, subset: str | None = None, force: bool = False) -> None:
        line = [*command(folder, subset)]
        if shutil.which(line[0]) is None:
            raise TracekitError(
                f"the program {line[0]!r} is not installed",
                where=licence_at,
                hint=f"pip install {package}, sign the licence there, then run this again",
            )
        with _made(folder):
            # its own output and progress go to the terminal; it skips what is there already
            code = subprocess.run(line, check=False).returncode
            if code:
                raise TracekitError(
                    f"{line[0]!r} ended with {code}",
                    where=" ".join(line),
                    hint=f"keys expire after 14 days; the licence is at {licence_at}",
                )

    return download


def _no_subset(where: str, subset: str | None, known: Mapping[str, object] | None = None) -> None:
    if subset:
        names = ", ".join(name for name in known or {} if name)
        raise TracekitError(
            f"{subset!r} cannot be fetched alone",
            where=where,
            hint=f"known: {names}" if names else "it comes as one file: leave --subset out",
        )
