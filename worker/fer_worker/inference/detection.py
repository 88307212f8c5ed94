"""What both engines make of MTCNN's answer: faces in whole pixels, filtered by their options."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.boxes import shows_in, sure
from fer_worker.inference.types import Box


@dataclass(frozen=True)
class Detection:
    """A face before its emotions are known, and how sure the detector is (0..1)."""

    box: Box
    probability: float
    landmarks: NDArray[np.float32] | None = field(default=None, compare=False)
    """(5, 2), see `FoundFaces`; None where the detector does not say."""


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
        min_probability: the least one to keep; see `sure`.
        frame_shape: height and width first. A box without a pixel inside is dropped: there is
            nothing to look at.
        landmarks: (N, 5, 2), see `FoundFaces`.
    """
    whole = corners.astype(int)
    size = frame_shape[0], frame_shape[1]
    kept = sure(corners, probabilities, min_probability, *size) & shows_in(corners, *size)
    places = [None] * len(corners) if landmarks is None else list(landmarks)
    return [
        Detection(Box(x1, y1, x2 - x1, y2 - y1), float(probabilities[face]), places[face])
        for face in np.flatnonzero(kept)
        for x1, y1, x2, y2 in [whole[face].tolist()]
    ]
