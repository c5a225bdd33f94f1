"""Student's t, held to another implementation."""

from __future__ import annotations

import pytest
from scipy.special import stdtrit

from tracekit.results.student import quantile


@pytest.mark.parametrize("freedom", [1, 1.3, 2, 3.7, 5, 10, 30, 200, 5000])
@pytest.mark.parametrize("probability", [0.025, 0.6, 0.9, 0.975, 0.995, 0.9999])
def test_quantiles_are_those_of_scipy(probability: float, freedom: float) -> None:
    assert quantile(probability, freedom) == pytest.approx(stdtrit(freedom, probability), rel=1e-6)


@pytest.mark.parametrize(("probability", "freedom"), [(0, 1), (1, 1), (0.5, 0), (2, 3)])
def test_what_is_no_quantile_is_refused(probability: float, freedom: float) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        quantile(probability, freedom)
