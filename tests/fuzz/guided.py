"""`scripts/fuzz --engine atheris`: libFuzzer chooses, by what code an input was the first to reach.

The bytes that it makes are the choices of the same mutations: each picks what `random.Random` would
have picked. `pip install atheris` where it has a wheel; elsewhere the choices are random.
"""

from __future__ import annotations

import importlib.util
import io
import random
import sys
from collections.abc import Callable


class Chosen(random.Random):
    """Picks as the bytes say, then as a seed does: nothing but zeros would be no choice at all."""

    def __init__(self, data: bytes) -> None:
        super().__init__(0)
        self._left = io.BytesIO(data)

    def random(self) -> float:
        """From 0 up to 1."""
        return self.getrandbits(53) / (1 << 53)

    def getrandbits(self, k: int) -> int:
        """`k` bits of the next bytes."""
        size = (k + 7) // 8
        taken = self._left.read(size)
        if len(taken) < size:
            return super().getrandbits(k)
        return int.from_bytes(taken, "little") & ((1 << k) - 1)


def there() -> bool:
    """Whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


def run(one: Callable[[random.Random], object]) -> None:
    """Calls `one` again and again with new choices; it ends the process when it is enough."""
    atheris = importlib.import_module("atheris")

    def tried(data: bytes) -> None:
        one(Chosen(data))

    # -len_control=0: long inputs from the start, as a document needs a few hundred choices
    atheris.Setup([sys.argv[0], "-len_control=0", "-max_len=2048", "-verbosity=0"], tried)
    atheris.Fuzz()
