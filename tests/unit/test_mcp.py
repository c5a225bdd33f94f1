"""The tools that an agent calls, asked by the SDK's own client."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.integration.test_report import kineto
from tracekit.mcp import server

TOOLS = {"analyze", "compare", "findings", "kernels", "stages", "table", "whatif"}
Ask = Callable[..., Awaitable[Any]]


def asked(use: Callable[[Ask], Awaitable[None]], to: object = None) -> None:
    """Runs `use` with a function that calls a tool and gives its answer, or its error's text."""

    async def run() -> None:
        async with Client(to or server.make()) as client:  # type: ignore[arg-type]

            async def ask(tool: str, **given: object) -> Any:
                found = await client.call_tool(tool, given)
                if found.is_error:
                    return found.content[0].text  # type: ignore[union-attr]
                assert found.structured_content is not None, tool
                return found.structured_content.get("result", found.structured_content)

            listed = await client.list_tools()
            assert {tool.name for tool in listed.tools} == TOOLS
            assert all(tool.output_schema and tool.description for tool in listed.tools)
            await use(ask)

    anyio.run(run)


def test_every_tool_answers_small_and_typed(tmp_path: Path) -> None:
    path, other = (str(kineto(tmp_path / name)) for name in ("a.json.gz", "b.json.gz"))

    async def use(ask: Ask) -> None:
        said = await ask("analyze", trace=path)
        assert said["headline"]
        assert "stages" in said["answered"]
        assert said["not_answered"]["collectives"]
        stages = await ask("stages", trace=path)
        assert [row["stage"] for row in stages] == ["prefill", "decode", "all stages"]
        for row in stages:
            parts = ("kernel_ns", "memcpy_ns", "memset_ns", "other_stages_ns", "idle_ns")
            assert sum(row[part] for part in parts) == row["device_window_ns"]
        kernels = await ask("kernels", trace=path, stage="decode", most=1)
        assert [row["stage"] for row in kernels] == ["decode"]
        assert "there are decode, prefill" in await ask("kernels", trace=path, stage="decoed")
        assert isinstance(await ask("findings", trace=path), list)
        (first, *_) = await ask("table", trace=path, analysis="devices")
        assert len(first["units"]) == len(first["columns"]) == len(first["rows"][0])
        change = await ask("compare", before=path, after=other)
        assert change["same_work"]
        found = await ask("whatif", trace=path, launch_cost=False)
        assert {row["clock"] for row in found["rows"]} >= {"host wall"}
        assert len(json.dumps([said, stages, kernels, change, found])) < 40_000

    asked(use)


def test_what_cannot_be_told_is_one_line(tmp_path: Path) -> None:
    path = str(kineto(tmp_path / "a.json.gz"))

    async def use(ask: Ask) -> None:
        gone = await ask("analyze", trace=str(tmp_path / "gone.json"))
        assert "cannot be read" in gone
        assert "\n" not in gone
        assert "no communication kernels" in await ask("table", trace=path, analysis="collectives")
        assert "known: " in await ask("table", trace=path, analysis="nonsense")
        assert "must be 1 or more" in await ask("kernels", trace=path, most=-1)
        assert "must be 1 or more" in await ask("table", trace=path, analysis="ops", most=0)
        for name, told in (("scale", "scale: "), ("remove", "remove: "), ("cuda_graphs", "'x'")):
            said = await ask("whatif", trace=path, **{name: ["x"]})
            assert told in said
            assert "--" not in said

    asked(use)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = kineto(tmp_path / "a.json.gz")

    async def use(ask: Ask) -> None:
        before = await ask("stages", trace=str(path))
        path.write_bytes(b"[]")
        assert await ask("stages", trace=str(path)) != before

    asked(use)


def test_what_a_terminal_would_obey_in_a_name_reaches_no_agent(tmp_path: Path) -> None:
    path = str(kineto(tmp_path / "a.json.gz", name="kernel\x1b[2J\u202e"))

    async def use(ask: Ask) -> None:
        for tool in ("kernels", "findings", "analyze", "stages"):
            text = json.dumps(await ask(tool, trace=path), ensure_ascii=False)
            assert "\\u001b" not in text
            assert "\u202e" not in text
        assert r"kernel\x1b[2J" in (await ask("kernels", trace=path))[0]["name"]

    asked(use)


def test_the_command_speaks_over_stdin_and_stdout(tmp_path: Path) -> None:
    path = str(kineto(tmp_path / "a.json.gz"))
    command = StdioServerParameters(command=sys.executable, args=["-m", "tracekit", "mcp"])

    async def use(ask: Ask) -> None:
        assert (await ask("analyze", trace=path))["headline"]

    asked(use, stdio_client(command))


def test_without_the_sdk_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(Exception, match=r"pip install 'tracekit\[mcp\]'"):
        server.make()
