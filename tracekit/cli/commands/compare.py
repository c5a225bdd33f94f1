"""`tracekit compare`: what changed between two traces, and what the change is made of."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracekit.cli import for_ci, process
from tracekit.cli import options as opt

if TYPE_CHECKING:
    from tracekit.comparison.compare import Comparison
    from tracekit.comparison.gate import Gate
    from tracekit.comparison.runs import Run
    from tracekit.report.ci import Case
    from tracekit.results.answers import Answers


def register(app: typer.Typer) -> None:
    @app.command("compare")
    def compare_runs(
        before: Annotated[
            str,
            typer.Argument(
                help="A trace, or the JSON that analyze printed; a folder or pattern of several."
            ),
        ],
        after: Annotated[str, typer.Argument(help="The same of the other run.")],
        fail_slower_than: Annotated[
            str | None,
            typer.Option(
                metavar="SHARE",
                help="Exit 3 where a time is slower beyond noise and by more, e.g. 5%.",
            ),
        ] = None,
        *,
        predict: Annotated[
            bool,
            typer.Option(help="Replay BEFORE: what its changes of kernels alone would have done."),
        ] = True,
        reading: opt.Reading,
    ) -> None:
        """What changed from BEFORE to AFTER: stages, kernels, new and gone ones, what to do.

        Several traces of a side are ranks of one job, or repeats of one run. With --json or
        --markdown the page is only written where -o names it.
        """
        from tracekit.bench.comparison import threshold
        from tracekit.comparison import compare, gate
        from tracekit.errors import TracekitError

        limit = None if fail_slower_than is None else threshold(fail_slower_than)
        sides = [_Side.of(named) for named in (before, after)]
        page = reading.page(lambda: _default(before, after))
        reading.check([path for side in sides for path in (side.named, *side.paths)], page)
        one, two = (side.run(reading) for side in sides)
        result = compare.compare(one, two)
        if predict:
            result = _predicted(result, one, two, sides[0])
        judged, unjudged = None, None
        if limit is not None:
            try:
                judged = gate.gate(one, two, result, limit)
            except TracekitError as fault:  # after what there is to say of the two
                unjudged = fault
        said = _write(result, page, reading)
        _print(result, judged, reading)
        sys.stdout.flush()
        for line in said:
            process.complain(line)
        if reading.annotations or reading.junit is not None:
            group = f"{before} → {after}"
            for_ci.tell(_cases(group, result, judged), reading.annotations, reading.junit)
        if not reading.printed and not reading.full:
            files = shlex.join([before, after])
            more = f"next:   tracekit compare --full {files} (every table)"
            process.hint(more, process.complain)
        if unjudged is not None:
            raise unjudged
        if judged is not None and judged.slower:
            raise typer.Exit(3)
        if any(side.failed for side in sides):
            raise typer.Exit(1)


@dataclass
class _Side:
    """One side of the comparison: what was named, and the traces that it stands for."""

    named: str
    paths: tuple[str, ...]
    failed: int = 0  # of several, those that could not be read

    @classmethod
    def of(cls, named: str) -> _Side:
        from tracekit.trace.inputs.expand import expand

        found = expand([named])
        for note in found.notes:
            process.complain(note)
        return cls(named, found.paths)

    def run(self, reading: opt.Reading) -> Run:
        """The answers of its traces, or those in a file that `tracekit analyze --json` wrote.

        Raises: TracekitError where none can be read, or they are of different work.
        """
        from tracekit.comparison import runs
        from tracekit.errors import TracekitError

        if len(self.paths) == 1:
            return runs.saved(self.paths[0]) or runs.of(_answers(self.paths[0], reading))
        many: list[Answers] = []
        for path in self.paths:
            try:
                many.append(_answers(path, reading))
            except TracekitError as fault:
                self.failed += 1
                process.complain(f"error: {fault}")
        if not many:
            hint = "name traces that can be read"
            raise TracekitError("holds no trace that can be read", where=self.named, hint=hint)
        return runs.of_several(self.named, many)


def _predicted(result: Comparison, one: Run, two: Run, side: _Side) -> Comparison:
    """The comparison with a replay of the trace before, where there is one to read again."""
    from tracekit.answers.kernels import Kernels
    from tracekit.comparison import predicted
    from tracekit.errors import TracekitError
    from tracekit.results import catalog
    from tracekit.trace import kineto

    path = side.paths[0]
    asked = one.get(Kernels) is not None and two.get(Kernels) is not None
    if len(side.paths) > 1 or path == "-" or one.path != path or not asked:
        return result
    if not predicted.tells(result, one, two):
        return result
    try:
        trace = kineto.load(path, tables=catalog.analysis("whatif").needs)
    except TracekitError:  # a pipe that is read only once
        return result
    return predicted.with_prediction(result, one, two, trace)


def _cases(group: str, result: Comparison, judged: Gate | None) -> list[Case]:
    from tracekit.report import ci
    from tracekit.report.diff import page
    from tracekit.results.units import duration

    found = ci.of_view(group, page.screen(result))
    for line in judged.lines if judged is not None else ():
        assert judged is not None
        failed = (
            f"{line.what} is {line.change:+.1%} slower ({line.low:+.1%} to {line.high:+.1%}): "
            f"{duration(line.before_ns)} before, {duration(line.after_ns)} after"
        )
        said = failed if line in judged.slower else ""
        found.append(ci.Case(group, line.what, said, "error"))
    return found


def _write(result: Comparison, target: Path | None, reading: opt.Reading) -> list[str]:
    """Writes the files that are wanted; a line for each."""
    from tracekit.comparison import tables
    from tracekit.report import facts, text
    from tracekit.report.diff import page

    said = []
    if reading.csv is not None:
        wanted = text.sheets(tables.tables(result), reading.csv, "compare")
        inputs = [result.before, result.after]
        files = text.write_sheets(wanted, inputs=inputs, force=reading.force)
        said.append(f"tables: {len(files)} files in {reading.csv}")
    if target is not None:
        asked = reading.output is not None
        written = page.write(result, target, command=facts.command(), asked=asked)
        said.append(f"report: {written}")
    return said


def _print(result: Comparison, judged: Gate | None, reading: opt.Reading) -> None:
    from rich.text import Text

    from tracekit.cli import terminal
    from tracekit.comparison import gate, tables
    from tracekit.records import replace
    from tracekit.report import text, text_tables
    from tracekit.report.diff import page
    from tracekit.results.first_screen import Verdict
    from tracekit.results.result import SCHEMA, to_plain

    if reading.as_json:
        document: dict[str, object] = {"schema": SCHEMA, "comparison": result.to_json()}
        if judged is not None:
            document["gate"] = {**to_plain(judged), "slower": to_plain(judged.slower)}
        process.say_json(document)
        return
    view = page.screen(result)
    title, subtitle = page.title(result), page.subtitle(result)
    if reading.as_markdown:
        shown = view if reading.full else text.short(view)
        if judged is not None:
            verdict = Verdict("bad" if judged.slower else "", "Gate", gate.said(judged))
            shown = replace(
                shown, verdicts=(verdict, *shown.verdicts), grids=(gate.grid(judged), *shown.grids)
            )
        process.say("\n".join(text.screen(title, subtitle, shown)))
        return
    out = terminal.console()
    if reading.full:
        view = replace(view, grids=())
    terminal.screen(out, title, subtitle, view)
    for table in tables.tables(result) if reading.full else ():
        text_tables.show(out, table, 40, rest=terminal.ANALYZED)
    if judged is not None:
        text_tables.show(out, gate.grid(judged), 40, rest=terminal.ANALYZED)
        out.print(Text(gate.said(judged)))


def _default(before: str, after: str) -> Path:
    from tracekit.trace import run_facts

    name = f"{run_facts.stem(before)[:90]}-to-{run_facts.stem(after)[:90]}"
    return Path("reports") / f"{name}.html"


def _answers(path: str, reading: opt.Reading) -> Answers:
    from tracekit.cli import terminal
    from tracekit.results import engine

    with terminal.status(Path(path).name) as say:
        return engine.answers(
            path, reading.names, strict=reading.strict, progress=say, stages=reading.stages,
            graph_capture=reading.graph_capture or (), model=reading.model,
            device=reading.device, drawn=False,
        )  # fmt: skip
