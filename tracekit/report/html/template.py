"""The template of a page, compiled once a machine: that takes longer than filling it."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit.errors import TracekitError
from tracekit.files import is_ours, writing
from tracekit.report.html.embedded import bounded, coded, unbroken
from tracekit.trace.scan import machine

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.bccache import Bucket


def _bounded(value: object) -> object:
    """What the template prints: text of a trace is bounded, markup of ours is not."""
    return bounded(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


@cache
def template() -> Template:
    """The page's template, from the code that jinja made of it before, where that is kept."""
    import jinja2

    class Kept(jinja2.BytecodeCache):
        """As jinja's own in files, which fails where it cannot write, and trusts anybody's."""

        def load_bytecode(self, bucket: Bucket) -> None:
            path = _place(jinja2.__version__)
            with suppress(OSError):
                if is_ours(path):
                    bucket.load_bytecode(io.BytesIO(path.read_bytes()))

        def dump_bytecode(self, bucket: Bucket) -> None:
            path = _place(jinja2.__version__)
            with suppress(OSError, TracekitError):
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with writing(path, private=True) as temporary:
                    temporary.write_bytes(bucket.bytecode_to_string())

    source = (files("tracekit.report.html") / "page.html.j2").read_text(encoding="utf-8")
    env = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=_bounded,
        loader=jinja2.DictLoader({"page": source}),
        bytecode_cache=Kept(),
    )
    env.filters["coded"] = coded
    env.filters["unbroken"] = unbroken
    return env.get_template("page")


def _place(version: str) -> Path:
    """Where the code is kept, by what made it; jinja asks itself whether it is of this text."""
    digest = hashlib.sha256(version.encode() + Path(__file__).read_bytes()).hexdigest()
    return machine.folder() / f"page-{digest[:24]}.jinja"
