"""What both engines make of MTCNN's answer: faces in whole pixels, filtered by their options."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.boxes import shows_in
from fer_worker.inference.types import Box


@dataclass(frozen=True)
class Detection:
    """A face before its emotions are known, and how sure the detector is (0..1)."""

    box: Box
    probability: float
    roll: float = 0.0
    """Radians by which the face is turned in the picture's plane, clockwise as one looks at it."""


def detections(
    corners: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    min_probability: float,
    frame_shape: tuple[int, ...],
    landmarks: NDArray[np.float32] | None = None,
) -> list[Detection]:
    """Faces that the detector is sure enough of, in the order given.

    Args:
        corners: (N, 4) x1, y1, x2, y2 in pixels. Cut to whole ones towards zero, as fer does.
        probabilities: (N,)
        min_probability: the least one to keep.
        frame_shape: height and width first. A box without a pixel inside is dropped: there is
            nothing to look at.
        landmarks: (N, 5, 2), see `FoundFaces`. Without them faces count as upright.
    """
    whole = corners.astype(int)
    kept = (probabilities >= min_probability) & shows_in(corners, *frame_shape[:2])
    rolls = np.zeros(len(corners)) if landmarks is None else rolls_of(landmarks)
    return [
        Detection(Box(x1, y1, x2 - x1, y2 - y1), probability, roll)
        for (x1, y1, x2, y2), probability, roll in zip(
            whole[kept].tolist(), probabilities[kept].tolist(), rolls[kept].tolist(), strict=True
        )
    ]


def rolls_of(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """The angle of the line through the eyes, of landmarks (N, 5, 2): (N,) radians, clockwise."""
    across = landmarks[:, 1] - landmarks[:, 0]
    angles: NDArray[np.float32] = np.arctan2(across[:, 1], across[:, 0])
    return angles
