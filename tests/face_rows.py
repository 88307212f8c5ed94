"""Rows of results for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fer_schemas import Emotion
from fer_worker.tools.face_table import Row

SENT = datetime(2026, 11, 23, 10, 0, 0, 250_000, UTC)


def row(frame: int = 0, **fields: Any) -> Row:
    """A frame without a face, of the first batch; `fields` say what is different."""
    default = {"batch": "b-0", "source": "a.jpg", "most_relevant": False, "faces": 0}
    return Row.model_validate({**default, "frame": frame, "sent_at": SENT, **fields})


def face_row(frame: int = 0, emotion: str = "happy", score: float = 0.9, **fields: Any) -> Row:
    """A frame with a face; what is left of the scores is neutral, or sad."""
    rest = "sad" if emotion == "neutral" else "neutral"
    scores = dict.fromkeys(Emotion, 0.0) | {emotion: score, rest: round(1 - score, 6)}
    side = fields.pop("side", 100)
    face = {"face": 0, "faces": 1, "x": 40, "y": 30, "box_width": side, "box_height": side}
    known = {"area": side * side, "probability": 0.99, "width": 640, "height": 480}
    dominant = {"emotion": emotion, "confidence": score}
    return row(frame, **{**face, **known, **dominant, **scores, **fields})


def at_second(seconds: float) -> datetime:
    """A moment of a camera's day."""
    return datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC) + timedelta(seconds=seconds)
