"""Where the time goes in IMU multimodal LLMs: capture, read and explain Kineto traces.

In a notebook: `import tracekit; trace = tracekit.load(path); trace.stages()`.
"""

from typing import TYPE_CHECKING

from tracekit.version import __version__

__all__ = ["__version__", "compare", "load", "whatif"]

if TYPE_CHECKING:
    from tracekit.report.notebook import compare, load, whatif


def __getattr__(name: str) -> object:
    # `tracekit --help` imports this package: numpy and the reader wait until someone loads
    if name in ("compare", "load", "whatif"):
        from tracekit.report import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'tracekit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
