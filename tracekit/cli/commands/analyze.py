"""`tracekit analyze`: answer every question that a trace can answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracekit.cli import for_ci, process
from tracekit.cli import options as opt

if TYPE_CHECKING:
    from tracekit.report.ci import Case
    from tracekit.results.answers import Answers
    from tracekit.results.workers.run import Together


def register(app: typer.Typer) -> None:
    @app.command()
    def analyze(
        named: Annotated[
            list[str],
            typer.Argument(
                metavar="TRACES...",
                help="Trace files, folders of them, patterns, a zip or tar of ranks; '-' is "
                "standard input.",
            ),
        ],
        reading: opt.Reading,
        spreading: opt.Spreading,
        ranks: Annotated[
            str | None,
            typer.Option(
                metavar="0-7,12",
                help="They are ranks of one job, with these numbers in the order of the files; "
                "else the profiler's distributedInfo says so, or names as rank3.json.",
                rich_help_panel=opt.WORKERS_HELP,
            ),
        ] = None,
    ) -> None:
        """Where the time went: every question that a trace can answer, on one page.

        Several traces are shown side by side; --full prints each of them too. With --json or
        --markdown the page is only written where -o names it.
        """
        from tracekit.trace.inputs.expand import expand

        names = reading.names
        found = expand(named)
        traces = list(found.paths)
        _distinct(traces)
        page = reading.page(lambda: _default(traces, names))
        reading.check(traces, page)
        numbers = opt.ranks(ranks, len(traces))
        found_in = _answers(traces, names, reading, spreading, numbers, for_page=page is not None)
        many = found_in.answers
        # files first: what reads the output may hang up early (`| head`)
        said = _write(found_in, page, reading)
        _print(found_in, reading)
        sys.stdout.flush()
        for line in [
            *found.notes,
            *_warnings(many),
            *_unjoined(many, reading.graph_capture),
            *_unfit(many),
            *_named_itself(many, reading.device),
            *said,
        ]:
            process.complain(line)
        _advise(many)
        if reading.annotations or reading.junit is not None:
            for_ci.tell(_cases(many), reading.annotations, reading.junit)
        if not reading.printed and not reading.full and names is None:
            process.hint(f"next:   {_next(many)}", process.complain)
        if found_in.interrupted:
            raise typer.Exit(130)
        if len(many) < len(traces):
            raise typer.Exit(1)


def _cases(many: Sequence[Answers]) -> list[Case]:
    """What was found in each trace, for a CI server."""
    from tracekit.report import ci
    from tracekit.report.facts import title

    return [case for one in many for case in ci.of_answers(title(one.source), one)]


def _answers(
    traces: Sequence[str], names: Sequence[str] | None, reading: opt.Reading,
    spreading: opt.Spreading, ranks: Sequence[int] | None, for_page: bool,
) -> Together:  # fmt: skip
    """The answers of each trace that can be read.

    A trace that cannot be read is named on stderr and the others go on; where Ctrl-C ends the
    reading, those that are done go on. Raises: its error where a trace is the only one.
    """
    from tracekit.cli import reading_many
    from tracekit.results import engine

    engine.wanted(names)  # a wrong name is no trace's fault
    if len(traces) > 1:
        from tracekit.trace.columns import release

        release.in_two_heaps()
    if for_page:
        from tracekit.report import facts

        for path in traces:
            facts.sha256_soon(path)
    if len(traces) == 1 and not spreading.elsewhere:
        return reading_many.alone(traces[0], names, reading, drawn=for_page)
    found = reading_many.together(traces, names, reading, spreading, ranks, for_page=for_page)
    for fault in found.faults:
        process.complain(f"error: {fault}")
    if found.left:
        process.complain(f"interrupted: {len(found.left)} of {len(traces)} files were not read")
    if not found.answers:
        raise typer.Exit(1)
    return found


def _advise(many: Sequence[Answers]) -> None:
    """Says once how large traces are read faster."""
    from tracekit.trace.scan import machine

    if advice := machine.advice(max((one.source.text_bytes for one in many), default=0)):
        process.hint(advice, process.complain)


def _distinct(traces: Sequence[str]) -> None:
    """Raises: TracekitError for a file named twice, whose rows would count twice, or a page."""
    from tracekit.errors import TracekitError, UsageError

    seen: dict[str, str] = {}
    for path in traces:
        if path.lower().endswith((".html", ".htm")):
            hint = "name the page with -o: tracekit analyze TRACE -o PAGE.html"
            raise TracekitError("is a page, not a trace", where=path, hint=hint)
        # links and other spellings of a path lead to the same file
        place = path if path == "-" else str(Path(path).resolve())
        if place in seen:
            same = "" if seen[place] == path else f": it is {seen[place]}"
            raise UsageError(f"is named twice{same}", where=path, hint="name each trace once")
        seen[place] = path


def _warnings(many: Sequence[Answers]) -> list[str]:
    """A line for each trace that carries what its author may not want to share."""
    warnings = []
    for one in many:
        found = ", ".join(f"{count:,} × {kind}" for kind, count in one.leaks.items())
        if found:
            made = one.path.endswith(".parquet")  # which is no trace that could be rewritten
            cure = (
                "before sharing it: export --scrub of the trace that it was made of, then convert"
                if made
                else f"before sharing it: tracekit export --scrub {one.path} OUT"
            )
            warnings.append(f"warning: {one.path} carries {found}; {cure}")
    return warnings


def _unjoined(many: Sequence[Answers], captures: Sequence[str] | None) -> list[str]:
    """A line for each trace with which the captures given could not be joined."""
    from tracekit.answers.kernels import Kernels

    lines = []
    for one in many if captures else ():
        kernels = one.get(Kernels)
        if kernels is not None and not any(m.given and m.used for m in kernels.graphs):
            replayed = any(row.replayed_count for row in kernels.rows)
            why = (
                "none of its graphs has nodes that were captured there"
                if replayed
                else "it replays no graph"
            )
            lines.append(f"warning: {one.path} is not joined with a capture: {why}")
    return lines


def _unfit(many: Sequence[Answers]) -> list[str]:
    """A line for each trace that the model's configuration does not fit."""
    from tracekit.answers.roles import Roles
    from tracekit.answers.roofline import Roofline

    lines = []
    for one in many:
        found = one.get(Roofline) or one.get(Roles)
        fit, given = None if found is None else found.model, one.source.model
        if fit is not None and not fit.used:
            lines.append(f"warning: {one.path} is read without {fit.name}: {fit.why}")
        elif fit is None and given is not None and (why := one.unanswered.get(Roofline.analysis)):
            lines.append(f"warning: {one.path} is read without {given.name}: {why}")
    return lines


def _named_itself(many: Sequence[Answers], device: str | None) -> list[str]:
    """A line for each trace that says what it ran on, where the user says it too."""
    if device is None:
        return []
    from tracekit.attribution.roofline.devices import of_file

    named = [(one.path, of_file(one.source)) for one in many]
    return [
        f"warning: {path} says that it ran on {own.name}: --device {device} is not used"
        for path, own in named if own is not None
    ]  # fmt: skip


def _print(read: Together, reading: opt.Reading) -> None:
    from tracekit.results import answers, engine

    every = answers.by_rank(read.rows)
    sides = [one for one in every if not one.fault]
    if reading.as_json:
        document = engine.to_json(read.rows)
        if len(sides) > 1:
            from tracekit.report.many import overview, runs

            document["together"] = overview.to_json(runs.read(every, read.sums))
        process.say_json(document)
        return
    if reading.as_markdown:
        from tracekit.report import text

        full = reading.full or reading.names is not None  # what was asked for by name is shown
        if len(sides) == 1:
            shown = text.markdown(sides[0], full=full)
        else:
            shown = text.markdown_of_several(every, full=full)
        process.say(shown)
        return
    _show(every, sides, read, reading)


def _show(
    every: Sequence[Answers], sides: Sequence[Answers], read: Together, reading: opt.Reading
) -> None:
    """The answers in a terminal; of several what they say together, then each."""
    from tracekit.cli import terminal

    out = terminal.console()
    full, chosen = reading.full, reading.names is not None
    together = len(sides) > 1 and not chosen
    if together:
        from tracekit.report.many import overview, runs

        found = runs.read(every, read.sums)
        view = overview.brief(overview.overview(found))
        terminal.screen(out, overview.title(found), overview.subtitle(found), view)
    for one in sides:
        if chosen:
            terminal.heading(out, one)
        elif full or not together:
            terminal.overview(out, one)
        if chosen or full:
            terminal.tables(out, one)
        if full or not together:
            terminal.unanswered(out, one, full=full or chosen)
            out.print()


def _write(read: Together, page: Path | None, reading: opt.Reading) -> list[str]:
    """Writes the files that are wanted; a line for each."""
    said, many = [], read.rows
    if reading.csv is not None:
        from tracekit.report import text

        inputs = [one.path for one in many]
        files = text.write_csv(many, reading.csv, inputs=inputs, force=reading.force)
        said.append(f"tables: {len(files)} files in {reading.csv}")
    if page is not None:
        from tracekit.report import facts, traces

        asked = reading.output is not None
        written = traces.write(many, page, command=facts.command(), asked=asked, sums=read.sums)
        said.append(f"report: {written}")
    return said


def _next(many: Sequence[Answers]) -> str:
    """What a reader may want after the first screen."""
    import shlex

    files = shlex.join(one.path for one in many)
    every = f"tracekit analyze --full {files} (every table)"
    if len(many) == 2:
        return f"tracekit compare {files} (what changed), {every}"
    if len(many) > 2:
        return f"{every}, tracekit compare A B (what changed between two)"
    if many[0].source.snapshot is not None:  # Perfetto has nothing to show of it
        return every
    return f"tracekit open {files} (in Perfetto), {every}"


def _default(traces: Sequence[str], names: Sequence[str] | None) -> Path:
    """reports/TRACE.html, and what sets this page apart from the one of a plain analyze."""
    from tracekit.trace import run_facts

    name = run_facts.stem(traces[0])
    if len(traces) > 1:
        name += f"-and-{len(traces) - 1}-more"
    if names:
        name += f"-{'-'.join(names)}"
    return Path("reports") / f"{name[:150]}.html"
