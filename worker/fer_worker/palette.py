"""Colours: of emotions, the same in pictures and on pages, and of the pages themselves."""

from pathlib import Path
from typing import Final, TypeAlias

from fer_schemas import Emotion

THEME: Final = Path(__file__).with_name("theme.css")
"""The style that all pages begin with."""

Color: TypeAlias = tuple[int, int, int]
"""Blue, green, red."""

COLORS: Final[dict[Emotion, Color]] = {
    Emotion.ANGRY: (0, 94, 213),  # vermilion
    Emotion.DISGUST: (115, 158, 0),  # bluish green
    Emotion.FEAR: (167, 121, 204),  # reddish purple
    Emotion.HAPPY: (66, 228, 240),  # yellow
    Emotion.SAD: (178, 114, 0),  # blue
    Emotion.SURPRISE: (0, 159, 230),  # orange
    Emotion.NEUTRAL: (233, 180, 86),  # sky blue
}
"""The palette of Okabe and Ito ("Color Universal Design", 2008), told apart by everyone."""


def css_color(emotion: Emotion) -> str:
    """Write a colour for a style sheet: `#rrggbb`."""
    blue, green, red = COLORS[emotion]
    return f"#{red:02x}{green:02x}{blue:02x}"
