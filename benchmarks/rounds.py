"""Rounds in which contestants take turns, and what is made of their figures.

A B C, A B C, A B C …: whatever else the machine does at the time hits all of them alike. Figures
are medians over the rounds, and a ratio is the median of the rounds' ratios.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeVar

Figure = TypeVar("Figure")

Rounds = dict[str, list[float]]
"""The figure of every contestant in every round."""


def take_turns(
    contestants: Mapping[str, Callable[[], Figure]], rounds: int
) -> dict[str, list[Figure]]:
    """Measure every contestant once a round."""
    figures: dict[str, list[Figure]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            figures[name].append(measure())
    return figures


def median_ratio(figures: Sequence[float], reference: Sequence[float]) -> float:
    """Median over the rounds of a figure divided by the reference's of the same round."""
    return median(ours / theirs for ours, theirs in zip(figures, reference, strict=True))


def repeats(seconds: float, wanted_s: float) -> int:
    """How often something that takes `seconds` is repeated so that a turn takes `wanted_s`."""
    return max(1, round(wanted_s / seconds))
