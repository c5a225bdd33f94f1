"""Times as a trace writes them, decimal µs, and as all else counts them, ns: exact both ways."""

from __future__ import annotations

from decimal import Decimal


def ns(value: object) -> int:
    """Exact ns from decimal µs, to nearest beyond three decimals."""
    if type(value) is int:
        return value * 1000
    exact = value if isinstance(value, Decimal) else Decimal(str(value))
    return int(exact.scaleb(3).to_integral_value())


def us(nanoseconds: int) -> Decimal:
    """Decimal µs with exactly three decimals."""
    return Decimal(nanoseconds).scaleb(-3)
