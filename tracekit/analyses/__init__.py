"""One question that a trace can answer per file, found by name.

In a checkout the files are in the folder `analyses/` at the top; an installed tracekit has them
here.
"""

from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2] / "analyses"
if _CHECKOUT.is_dir():
    __path__ = [str(_CHECKOUT)]
