"""What both engines make of MTCNN's answer: faces in whole pixels, filtered by their options."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.inference.engine import Box


@dataclass(frozen=True)
class Detection:
    """A face before its emotions are known, and how sure the detector is (0..1)."""

    box: Box
    probability: float


def detections(
    corners: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    min_probability: float,
    frame_shape: tuple[int, ...],
) -> list[Detection]:
    """Faces that the detector is sure enough of, in the order given.

    Args:
        corners: (N, 4) x1, y1, x2, y2 in pixels. Cut to whole ones towards zero, as fer does.
        probabilities: (N,)
        min_probability: the least one to keep.
        frame_shape: height and width first. A box without a pixel inside is dropped: there is
            nothing to look at.
    """
    whole = corners.astype(int)
    kept = (probabilities >= min_probability) & shows_in(corners, *frame_shape[:2])
    return [
        Detection(Box(x1, y1, x2 - x1, y2 - y1), probability)
        for (x1, y1, x2, y2), probability in zip(
            whole[kept].tolist(), probabilities[kept].tolist(), strict=True
        )
    ]


def shows_in(corners: NDArray[np.float32], height: int, width: int) -> NDArray[np.bool_]:
    """Which boxes (N, 4), cut to whole pixels, have a pixel inside the frame: (N,)."""
    whole = corners.astype(int)
    first, last = np.maximum(whole[:, :2], 0), np.minimum(whole[:, 2:], (width, height))
    inside: NDArray[np.bool_] = (first < last).all(axis=1)
    return inside
