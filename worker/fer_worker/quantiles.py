"""Percentiles of samples, by nearest rank."""

import math
from collections.abc import Iterable
from typing import Final

PERCENTILES: Final = (50, 90, 95, 99)


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Find the smallest value that so many per cent do not exceed (nearest rank); None of none."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1] if ordered else None
