"""Which pairs of query and key an attention mask leaves.

A mask here is a band: query i sees the keys from i + `first` to i + `last`. A causal mask of
PyTorch starts at the top left, so query i sees keys 0…i. flash-attn aligns its masks to the bottom
right: the last query sees the last key, so that queries after a cache see all of it.

Source: torch.nn.functional.scaled_dot_product_attention; flash-attn's README, "Changes for v2.1";
its `window_size=(left, right)`, where -1 is no limit.
"""

from __future__ import annotations

import numpy as np

from tracekit.records import Record


class Band(Record, frozen=True):
    """Query i sees keys i + first … i + last; None: no limit on that side."""

    first: int | None = None
    last: int | None = None

    def seen(self, queries: int, keys: int) -> tuple[int, int]:
        """Pairs that are left of `queries` × `keys`, and how many keys some query sees."""
        row = np.arange(queries, dtype=np.int64)
        low = np.zeros_like(row) if self.first is None else np.maximum(row + self.first, 0)
        high = np.full_like(row, keys - 1)
        if self.last is not None:
            high = np.minimum(row + self.last, keys - 1)
        count = np.maximum(high - low + 1, 0)
        some = count > 0
        if not some.any():
            return 0, 0
        return int(count.sum()), int(high[some].max() - low[some].min()) + 1


FULL = Band()
TOP_LEFT = Band(last=0)


def bottom_right(queries: int, keys: int, causal: bool, left: int, right: int) -> Band:
    """The mask of flash-attn: `left` and `right` keys beside each query's own; -1 is no limit."""
    own = keys - queries  # the key of query 0
    if causal:
        right = 0
    return Band(None if left < 0 else own - left, None if right < 0 else own + right)
