"""What `--data` says, to samples: `synthetic`, a path, or `NAME[:SUBSET]` in a folder."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tracekit import files
from tracekit.datasets import entry as dataset_entry
from tracekit.datasets import pairing
from tracekit.datasets.entry import Dataset, InputKind, Sample
from tracekit.datasets.formats.csv_rows import OnError
from tracekit.errors import TracekitError, UsageError

__all__ = ["found_at", "kind_of", "named", "open_samples"]


def open_samples(
    spec: str,
    *,
    kind: InputKind,
    also: Sequence[InputKind] = (),
    data_dir: Path | None = None,
    seed: int = 0,
    workdir: Path | None = None,
    rate_hz: float | None = None,
    on_error: OnError = "raise",
    trust_pickle: bool = False,
    limit: int | None = None,
    **options: Any,
) -> Iterator[Sample]:
    """Samples of a data set or of your own files, not yet read, in an order that never changes.

    `spec` is `synthetic[:ACTIVITY]` (without end unless `limit` is given; written to `workdir`, or
    to a folder that goes away with the process), `NAME[:SUBSET]` with its files in `data_dir`, or
    `PATH[:SUBSET]`, a file or folder whose layout says what it is. A path that is also a name
    is written `./NAME`. Samples of `kind` hold the same moment as other kinds in `also`, where the
    data set can be paired. `options` are those that the data set `takes`; None is the same as
    absent.

    Raises: TracekitError where there is no such thing, where it holds another kind of input, and
    for an option that it does not take. Asking for the next sample may raise it too.
    """
    name, _, subset = _spelt(spec).partition(":")
    given = {"rate_hz": rate_hz, "trust_pickle": trust_pickle or None, **options}
    if name in dataset_entry.datasets():
        entry = dataset_entry.dataset(name)
        path = _folder(name, entry, data_dir, workdir)
    else:
        path, subset = _path(spec)
        if not path.exists():
            raise TracekitError(
                "neither a data set nor a file or folder",
                where=spec,
                hint=f"data sets: {', '.join(dataset_entry.datasets())}",
            )
        name = found_at(path, kind, also)
        entry = dataset_entry.dataset(name)
    _check(entry, name, subset, (kind, *also), spec)
    chosen = _taken(entry, given, spec)
    if "kind" in entry.takes:
        chosen["kind"] = kind
    if also:
        chosen["also"] = pairing.others(entry, (kind, *also))
    samples = entry.samples(path, subset=subset or None, seed=seed, on_error=on_error, **chosen)
    if also and "kind" not in entry.takes:
        samples = (pairing.seen_as(sample, entry.kind, kind) for sample in samples)
    return itertools.islice(samples, limit)


def _check(
    entry: dataset_entry.Dataset, name: str, subset: str, kinds: Sequence[InputKind], spec: str
) -> None:
    """Nothing where the data set holds these kinds and has this subset. Raises: TracekitError."""
    if len(kinds) > 1:
        pairing.check(entry, kinds, spec)
    elif entry.kind != kinds[0] and "kind" not in entry.takes:
        raise TracekitError(
            f"it holds {entry.kind}, and {kinds[0]} is wanted",
            where=spec,
            hint="`tracekit datasets` lists which data fits which model",
        )
    if subset and entry.subsets and subset not in entry.subsets:
        raise UsageError(
            "there is no subset of that name",
            where=f"{name}:{subset}",
            hint=f"known: {', '.join(entry.subsets)}",
        )


def _taken(
    entry: dataset_entry.Dataset, given: Mapping[str, object], spec: str
) -> dict[str, object]:
    """The options that are given. Raises: UsageError for one that the data set does not take."""
    chosen = {key: value for key, value in given.items() if value is not None}
    for option in [key for key in chosen if key not in entry.takes]:
        # a sweeping --trust-pickle does no harm to a data set without pickles
        if option != "trust_pickle":
            raise UsageError(
                f"it does not take {option!r}",
                where=spec,
                hint=f"it takes: {', '.join(entry.takes) or 'no options'}",
            )
        del chosen[option]
    return chosen


def found_at(path: Path, kind: InputKind | None = None, also: Sequence[InputKind] = ()) -> str:
    """The name of the data set whose layout a file or folder has; 'plain' where it has none.

    Raises: TracekitError where there is nothing that could be read.
    """
    for name, entry in dataset_entry.entries().items():
        fits = kind is None or entry.kind in (kind, *also) or "kind" in entry.takes
        if name != "plain" and fits and entry.recognise is not None and entry.recognise(path):
            return name
    plain = dataset_entry.dataset("plain")
    if plain.recognise is not None and plain.recognise(path):
        return "plain"
    raise TracekitError(
        "no data set that is known, and no file that could be read",
        where=path,
        hint=f"files that end in {', '.join(_endings(kind))} are read; `tracekit datasets info "
        "NAME` shows how each data set lies on disk",
    )


def _endings(kind: InputKind | None) -> tuple[str, ...]:
    from tracekit.datasets.local.plain import ENDINGS

    return ENDINGS[kind or "imu"]


def named(name: str) -> str:
    """The name of a data set, however it is spelt: 'UCI-HAR', 'MotionSense' and 'EgoVid-5M' too.

    What is no known spelling comes back as it is.
    """

    def plain(text: str) -> str:
        return "".join(c for c in text.lower() if c.isalnum())

    known = {plain(one): one for one in dataset_entry.datasets()}
    known |= {"egovid5m": "egovid", "imhd2": "imhd", "hapt": "uci_hapt", "fimad": "mujo"}
    return known.get(plain(name), name)


def kind_of(spec: str) -> InputKind:
    """The kind of input of a data set's name, or of a path: by its layout, then by its ending.

    Raises: TracekitError where nothing there can be read.
    """
    from tracekit.datasets.local import plain

    name = _spelt(spec).partition(":")[0]
    if name in dataset_entry.datasets():
        return dataset_entry.dataset(name).kind
    path, _ = _path(spec)
    if not path.exists():
        return "imu"  # open_samples says what is wrong
    found = found_at(path)
    return plain.guess(path) if found == "plain" else dataset_entry.dataset(found).kind


def _spelt(spec: str) -> str:
    """`NAME[:SUBSET]` with the name as it is listed; a path that exists is a path."""
    name, colon, subset = spec.partition(":")
    listed = named(name)
    if listed in dataset_entry.datasets() and not Path(spec).expanduser().exists():
        return f"{listed}{colon}{subset}"
    return spec


def _path(spec: str) -> tuple[Path, str]:
    """The path, and the subset of `PATH:SUBSET` where there is no file of that whole name."""
    path = Path(spec).expanduser()
    before, colon, subset = spec.rpartition(":")
    if colon and not path.exists() and Path(before).expanduser().exists():
        return Path(before).expanduser(), subset
    return path, ""


def _folder(name: str, entry: Dataset, data_dir: Path | None, workdir: Path | None) -> Path:
    if entry.access == "generated":
        return workdir if workdir is not None else files.passing()
    if entry.access == "not released" and data_dir is None:
        raise TracekitError(entry.how_to_get, where=name, hint=f"source: {entry.source}")
    if data_dir is None:
        raise UsageError(
            "where is it on disk?",
            where=name,
            hint=f"--data-dir DIR; to get it: {entry.how_to_get}",
        )
    folder = Path(data_dir).expanduser()
    if not folder.is_dir():
        raise TracekitError("no such folder", where=folder, hint=f"to get it: {entry.how_to_get}")
    return folder
