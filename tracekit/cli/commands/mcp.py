"""`tracekit mcp`: the answers as tools for agents and editors."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def mcp() -> None:
        """Serve analyze, findings, kernels, compare, whatif to an agent (Model Context Protocol).

        Speaks over stdin and stdout: the agent or the editor starts it (docs/agents.md).
        """
        from tracekit.mcp import server

        server.make().run("stdio")
