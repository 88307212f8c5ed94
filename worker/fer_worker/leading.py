"""Which emotion of a face leads, or that none does."""

from collections.abc import Iterable
from typing import Final

from fer_schemas import Emotion

CLOSE: Final = 0.05
"""Two leading scores less than this apart leave a face undecided: another frame of the same face
may well have them the other way round."""


def leading(scores: Iterable[tuple[str, float]]) -> dict[Emotion, float]:
    """Give the emotion of the highest score; the second one as well where the two are close.

    Args:
        scores: emotions and their scores, such as an `EmotionScores`; of equals the first leads.

    Returns:
        Scores by emotion, the highest first: one entry, or two for a face that is undecided.
    """
    ranked = sorted(scores, key=lambda item: -item[1])[:2]
    (_, first), (_, second) = ranked
    count = 2 if round(first - second, 4) < CLOSE else 1
    return {Emotion(name): score for name, score in ranked[:count]}


def in_words(found: dict[Emotion, float]) -> str:
    """Name what `leading` gives, with its scores."""
    named = ", ".join(f"{emotion} {score:.2f}" for emotion, score in found.items())
    return named if len(found) == 1 else f"undecided: {named}"
