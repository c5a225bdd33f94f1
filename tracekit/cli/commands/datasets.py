"""`tracekit datasets`: what there is, how to get it, whether it is whole, what a sample holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracekit.cli import complete, process
from tracekit.cli import options as opt

if TYPE_CHECKING:
    from tracekit.datasets.entry import Dataset
    from tracekit.datasets.preview import FirstScreen

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Subset = Annotated[str | None, typer.Option(help="A part of it; `info` lists them.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Data sets: list them, get them, check them, look at a sample.")
    group.callback(invoke_without_command=True)(_list)
    group.command("list")(_list_all)
    group.command("info")(_info)
    group.command("download")(_download)
    group.command("check")(_check)
    group.command("preview")(_preview)
    app.add_typer(group, name="datasets")


def _list(context: typer.Context, as_json: Json = False) -> None:
    """Data sets: list them, get them, check them, look at a sample."""
    if context.invoked_subcommand is None:
        _list_all(as_json)


def _list_all(as_json: Json = False) -> None:
    """List the data sets: what each holds, and how it is got."""
    from tracekit.cli import terminal
    from tracekit.datasets import entry as dataset_entry
    from tracekit.report import text_tables
    from tracekit.results.result import Column, Grid

    entries = dataset_entry.entries()
    if as_json:
        _print_json({name: _facts(entry) for name, entry in entries.items()})
        return
    rows = [(n, e.kind, e.access, e.verified, e.title) for n, e in entries.items()]
    columns = tuple(Column(label) for label in ("name", "input", "access", "loader", "what"))
    out = terminal.console()
    text_tables.show(out, Grid("datasets", "Data sets", columns, rows), most=len(rows))
    paired = [
        (n, e.kind, kind, how)
        for n, e in entries.items()
        for kind, how in e.pairs.items()
        if kind != e.kind and {kind, e.kind} == {"imu", "events"}
    ]
    columns = tuple(Column(label) for label in ("name", "has", "beside it", "where that is from"))
    title = "Pairs of IMU and events, for a draft and a target that read different sensors"
    text_tables.show(out, Grid("pairs", title, columns, paired), most=len(paired))
    process.hint("next: tracekit datasets info NAME")


def _info(
    name: opt.DatasetName,
    as_json: Json = False,
) -> None:
    """What a data set holds, its licence, size, layout on disk, and how to get it."""
    from tracekit.cli import terminal

    entry = _entry(name)
    if as_json:
        _print_json(_facts(entry))
        return
    out = terminal.console()
    out.print(entry.title, style="bold", markup=False)
    for label, value in _facts(entry).items():
        if label in ("title", "takes", "pairs") or not value:
            continue
        text = ", ".join(value) if isinstance(value, list) else str(value)
        out.print(f"{label.replace('_', ' ')}: {text}", markup=False, soft_wrap=True)
    for kind, how in entry.pairs.items():
        out.print(f"with {kind}: {how}", markup=False, soft_wrap=True)
    for option, what in entry.takes.items():
        out.print(f"option {option}: {what}", markup=False, soft_wrap=True)


def _download(
    name: opt.DatasetName,
    output_dir: Annotated[Path, typer.Option("--output-dir", "-o", help="Where it goes.")],
    subset: Subset = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that differ.")] = False,
) -> None:
    """Fetch a data set where it is public; say how to get access where it is not."""
    from tracekit import files
    from tracekit.errors import TracekitError

    entry = _entry(name)
    if entry.download is None:
        raise TracekitError("there is nothing to download", where=name, hint=entry.how_to_get)
    files.writable(output_dir / name)
    for line in (f"{name}: {entry.source}", f"licence: {entry.licence}", f"size: {entry.size}"):
        process.complain(line)
    try:
        entry.download(output_dir, subset=subset, force=force)
    except KeyboardInterrupt:
        process.complain(f"stopped; what has come is kept in {output_dir}: run it again")
        raise typer.Exit(130) from None
    process.say(f"{name} is in {output_dir}")
    process.hint(f"next: tracekit datasets check {output_dir}")


def _check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What is on disk.")],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            help="Which data set it is; by its layout without.",
            autocompletion=complete.datasets,
        ),
    ] = None,
    subset: Subset = None,
    limit: Annotated[int, typer.Option(min=0, help="Samples to read; 0 is all of them.")] = 200,
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="Read pickles, numpy arrays only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Verify files, checksums where known, counts, shapes, rates, holes and clocks."""
    from tracekit.cli import progress, terminal
    from tracekit.datasets import checks, opening
    from tracekit.errors import TracekitError
    from tracekit.report import text_tables

    if not folder.exists():
        raise TracekitError("no such file or folder", where=folder, hint="check the path")
    name = name or opening.found_at(folder)
    entry = _entry(name)
    taken = {"trust_pickle": True} if trust_pickle and "trust_pickle" in entry.takes else {}
    samples = entry.samples(folder, subset=subset, seed=0, on_error="skip", **taken)
    with progress.phases() as move:
        result = checks.check(
            name, entry, folder, samples, limit=limit or None,
            progress=lambda done: move("reading samples", done, limit or None),
        )  # fmt: skip
    if as_json:
        _print_json(result.to_json())
    else:
        out = terminal.console()
        out.print(f"{folder} holds {name}: {entry.title}", markup=False)
        for grid in checks.grids(result):
            text_tables.show(out, grid, rest="--json has them")
        for remark in result.remarks:
            out.print(f"note: {remark}", markup=False)
        for problem in result.problems[:20]:
            out.print(f"problem: {problem}", markup=False, style="red")
    if result.problems:
        raise typer.Exit(1)
    if not as_json:
        process.hint(f"next: tracekit datasets preview {folder}")


def _preview(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_PATH",
            help="NAME[:SUBSET] or a file or folder.",
            autocompletion=complete.data,
        ),
    ],
    data_dir: Annotated[Path | None, typer.Option(help="Where the data set lies.")] = None,
    sample: Annotated[int, typer.Option(min=0, help="Which one, from 0.")] = 0,
    kind: Annotated[
        str | None, typer.Option(help="imu, events, text, image or audio; by the file without.")
    ] = None,
    rate_hz: Annotated[
        float | None, typer.Option("--rate-hz", help="Rate of a recording that does not say.")
    ] = None,
    data_option: Annotated[
        list[str] | None,
        typer.Option(
            "--data-option", metavar="NAME=VALUE", help="An option of the data set; repeatable."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of synthetic data.")] = 0,
    on_error: Annotated[str, typer.Option(help="raise or skip a malformed row.")] = "raise",
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="Read pickles, numpy arrays only.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the HTML page goes.")
    ] = None,
    force: opt.Force = False,
    as_json: Json = False,
) -> None:
    """One sample: a summary here, and a page with its charts."""
    from itertools import islice

    from tracekit import files
    from tracekit.capture.plan import value
    from tracekit.cli import terminal
    from tracekit.datasets import opening, preview
    from tracekit.errors import TracekitError
    from tracekit.report import text_tables
    from tracekit.report.facts import identity
    from tracekit.report.html.page import is_page, save

    inputs: list[str | Path] = [spec, *([data_dir] if data_dir else [])]
    if output is not None:
        files.check(output, inputs=inputs, ours=is_page, force=force)
        opt.ends(output, opt.PAGE)
    opt.choice(on_error, ("raise", "skip"), "--on-error")
    given = opt.pairs(data_option, "--data-option")
    chosen: dict[str, Any] = {
        "kind": kind or opening.kind_of(spec), "on_error": on_error,
        **{name: value(text) for name, text in given.items()},
    }  # fmt: skip
    found = opening.open_samples(
        spec, data_dir=data_dir, seed=seed, rate_hz=rate_hz, trust_pickle=trust_pickle, **chosen
    )
    one = next(islice(found, sample, None), None)
    if one is None:
        raise TracekitError(f"there is no sample {sample}", where=spec, hint="they count from 0")
    recording = one.parse(one.read())
    grid = preview.summary(one, recording)
    if as_json:
        known = {what: value for what, value in grid.rows if what != "repair"}
        _print_json({**known, "repairs": list(recording.repairs)})
        return
    out = terminal.console()
    screen = preview.first_screen(one, recording)
    out.print(screen.headline, style="bold", markup=False)
    out.print(f"{screen.verdict.word}: {screen.verdict.text}", markup=False)
    text_tables.show(out, grid, most=len(grid.rows))
    path = output or Path("reports") / f"preview-{_file_name(one.id)}.html"
    text = _page(identity([*map(str, inputs), str(sample)]), one.id, grid,
                 preview.charts(recording), screen,
                 recording.repairs)  # fmt: skip
    path = save(text, path, of=None if output else identity([*map(str, inputs), str(sample)]))
    process.say(f"page: {path}")


def _page(
    of: str,
    title: str,
    grid: Any,
    charts: list[Any],
    screen: FirstScreen,
    notes: tuple[str, ...],
) -> str:
    """The same page as a report's, with one sample on it."""
    from tracekit.report.html.page import Page, fill
    from tracekit.report.html.section import Part
    from tracekit.report.one.overview import Overview
    from tracekit.results.first_screen import sentence

    shown = Part(
        name="sample",
        title="What it holds",
        question="The sample as it was read and parsed, before any model's own preprocessing.",
        charts=charts,
        grids=[grid],
        definitions={},
        gpu=False,
    )
    return fill(
        Page(
            of=of,
            title=f"Sample {title}",
            subtitle="one sample of a data set",
            overview=Overview(
                headlines=(screen.headline,),
                verdicts=(screen.verdict,),
                tiles=screen.key_numbers,
                notes=tuple(note for note in notes if sentence(note) not in screen.verdict.text),
                charts=screen.charts,
            ),
            sections=[shown],
            source=[("made by", "tracekit datasets preview", True)],
            data={},
        )
    )


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text)[:80]


def _entry(name: str) -> Dataset:
    from tracekit.datasets import entry as dataset_entry
    from tracekit.datasets import opening

    return dataset_entry.dataset(opening.named(name))


def _facts(entry: Dataset) -> dict[str, object]:
    return {
        "title": entry.title,
        "input": entry.kind,
        "holds": entry.holds,
        "source": entry.source,
        "licence": entry.licence,
        "access": entry.access,
        "size": entry.size,
        "how_to_get": entry.how_to_get,
        "layout": entry.layout,
        "fits": list(entry.fits),
        "subsets": list(entry.subsets),
        "loader": entry.verified,
        "takes": dict(entry.takes),
        "pairs": dict(entry.pairs),
    }


def _print_json(value: object) -> None:

    process.say_json(value, indent=1)
