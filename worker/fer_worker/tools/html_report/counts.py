"""What bins hold: counts of frames and faces, and the most relevant frame of some batches."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from fer_schemas import Emotion
from fer_worker.tools.face_table import Row

EMOTIONS: Final = tuple(Emotion)

Number = TypeVar("Number", int, float)


@dataclass
class Counts:
    """Counts of frames and of the faces in them."""

    frames: int = 0
    with_face: int = 0
    failed: int = 0
    faces: int = 0
    dominant: list[int] = field(default_factory=lambda: [0] * len(EMOTIONS))
    """Faces by their emotion, in the order of `Emotion`, as the next two."""
    confidence: list[float] = field(default_factory=lambda: [0.0] * len(EMOTIONS))
    """Sums of the scores that made the emotion of each face."""
    scores: list[float] = field(default_factory=lambda: [0.0] * len(EMOTIONS))
    """Sums of the scores of all faces."""

    @property
    def without_face(self) -> int:
        """Frames that were analysed and show nobody."""
        return self.frames - self.with_face - self.failed

    def add(self, row: Row) -> None:
        """Count a row."""
        if begins_frame(row):
            self.frames += 1
            self.with_face += row.face is not None
            self.failed += row.error is not None
        scores = scores_of(row)
        if scores is not None and row.emotion is not None and row.confidence is not None:
            self.faces += 1
            dominant = EMOTIONS.index(row.emotion)
            self.dominant[dominant] += 1
            self.confidence[dominant] += row.confidence
            self.scores = _sums(self.scores, scores)

    def absorb(self, other: "Counts") -> None:
        """Add the counts of another."""
        self.frames += other.frames
        self.with_face += other.with_face
        self.failed += other.failed
        self.faces += other.faces
        self.dominant = _sums(self.dominant, other.dominant)
        self.confidence = _sums(self.confidence, other.confidence)
        self.scores = _sums(self.scores, other.scores)

    def shares(self) -> dict[Emotion, float] | None:
        """Mean score of each emotion, made to add up to 1; None without a face."""
        total = sum(self.scores)
        if not total:
            return None
        return {emotion: self.scores[i] / total for i, emotion in enumerate(EMOTIONS)}


@dataclass
class Best:
    """The most relevant frame, that with the largest face, of some batches."""

    batches: int = 0
    row: Row | None = None
    """Of that face."""

    def offer(self, row: Row) -> None:
        """Take the most relevant frame of one more batch, by the row of its largest face."""
        self.absorb(Best(1, row))

    def absorb(self, other: "Best") -> None:
        """Take in the batches of another."""
        self.batches += other.batches
        if other.row is not None and (
            self.row is None or (other.row.area or 0) > (self.row.area or 0)
        ):
            self.row = other.row


def begins_frame(row: Row) -> bool:
    """Whether a frame's rows begin with this one."""
    return not row.face


def scores_of(row: Row) -> tuple[float, ...] | None:
    """Give the seven scores of a face, in the order of `Emotion`; None for a row without them."""
    scores = (row.angry, row.disgust, row.fear, row.happy, row.sad, row.surprise, row.neutral)
    known = tuple(score for score in scores if score is not None)
    return known if len(known) == len(scores) else None


def _sums(one: list[Number], other: Iterable[Number]) -> list[Number]:
    return [a + b for a, b in zip(one, other, strict=True)]
