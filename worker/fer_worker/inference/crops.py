"""What the emotion network is shown of a face: grey pictures of 64 x 64 pixels."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.detection import Detection
from fer_worker.inference.types import INPUT_SIDE, Box, Crop, Views

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

GreyImage = NDArray[np.uint8]

_GROWN: Final[Mapping[Views, Sequence[float]]] = {1: (0,), 2: (0,), 6: (-0.05, 0, 0.05)}
"""By how much what is shown of a face is wider than usual, as a share."""

_FER_MARGIN = 10
"""Pixels on every side, whatever the face's size: fer's default `offsets`."""
_FER_PADDING = 40
"""Pixels by which fer widens the picture; a crop that reaches further is cut there."""

_PLACES: Final = np.array([0.3028, 0.6902, 0.4934, 0.3388, 0.6626]) + 1j * np.array(
    [0.3887, 0.3811, 0.6119, 0.8126, 0.8085]
)
"""Where O-Net's landmarks lie on average in FER2013's pictures, as shares of the side: eyes, nose
and corners of the mouth, x + iy. Measured on its 3,589 pictures of PublicTest (docs/decisions)."""
_LARGEST_ERROR = 0.2
"""By which landmarks may miss their places, as a share of the side: root of the mean square. Of
real faces, profiles included, none was seen to miss them by more than 0.11."""
_LARGEST_RATIO = 2.0
"""By which the square's side may differ from the box's, either way: 0.81 to 1.22 was seen."""
_BOX_SCALE, _BOX_SHIFT = 0.9, -0.025
"""The square's side, and how far its middle lies below the box's (so it is above), as shares of the
box's longer side: what landmarks give on average."""
_SHARP_SCALE = 0.6
"""A face that is scaled down by more is blurred first, as FER2013's pictures were made."""
_BLUR = 0.35
"""Its sigma, in pixels of the result."""


class _Rectangle(NamedTuple):
    """In pixels of the picture; it may reach over the edge."""

    left: int
    top: int
    right: int
    """Exclusive, as is the next one."""
    bottom: int


class _Similarity(NamedTuple):
    """From a point of the picture, x + iy, to one of the crop: turned and scaled, then moved."""

    turn: complex
    move: complex

    @property
    def scale(self) -> float:
        """Pixels of the crop per pixel of the picture."""
        return abs(self.turn)

    def back(self, point: complex) -> complex:
        """From a point of the crop to one of the picture."""
        return (point - self.move) / self.turn


def face_crops(
    image: "BGRImage", faces: Sequence[Detection], crop: Crop, views: Views = 1
) -> NDArray[np.float32]:
    """Cut faces, one at least, out of a BGR picture.

    Returns:
        (N * views, 64, 64) float32, grey, in [-1, 1]. All views of a face come before those of the
        next one.
    """
    make = {"aligned": _aligned, "fer": _as_fer}[crop]
    shown = [
        view
        for face in faces
        for grown in _GROWN[views]
        for view in _mirrored(make(image, face, grown), views)
    ]
    scaled = np.array(shown, dtype=np.float32) / 255.0
    return (scaled - 0.5) * 2.0


def _mirrored(view: GreyImage, views: Views) -> Iterator[GreyImage]:
    yield view
    if views > 1:
        yield view[:, ::-1]


def _aligned(image: "BGRImage", face: Detection, grown: float) -> GreyImage:
    """The face where FER2013 has it. Beyond the picture its border goes on."""
    similarity = _similarity(face, 1 / (1 + grown))
    corners = [similarity.back(x + 1j * y) for x in (0, INPUT_SIDE) for y in (0, INPUT_SIDE)]
    # Some pixels more than blurring and interpolation need.
    margin = 2 + math.ceil(3 * _BLUR / similarity.scale)
    height, width = image.shape[:2]
    left, right = _span([corner.real for corner in corners], margin, width)
    top, bottom = _span([corner.imag for corner in corners], margin, height)
    around = _grey(image[top:bottom, left:right])

    # By whole pixels at first, to two to four times the crop: a wide blur takes long.
    shrunk = max(1, min(int(0.5 / similarity.scale), *around.shape))
    if shrunk > 1:
        rows, columns = (side // shrunk * shrunk for side in around.shape)
        size = (columns // shrunk, rows // shrunk)
        around = _array(cv2.resize(around[:rows, :columns], size, interpolation=cv2.INTER_AREA))
    turn = similarity.turn * shrunk
    if abs(turn) < _SHARP_SCALE:
        sigma = _BLUR / abs(turn)
        around = _array(cv2.GaussianBlur(around, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))
    # From edges, where a picture begins at 0, to the middles of pixels, which OpenCV counts from.
    middle = 0.5 + 0.5j
    move = similarity.turn * (left + 1j * top) + similarity.move + turn * middle - middle
    matrix = np.array([[turn.real, -turn.imag, move.real], [turn.imag, turn.real, move.imag]])
    return _array(
        cv2.warpAffine(
            around,
            matrix,
            (INPUT_SIDE, INPUT_SIDE),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _similarity(face: Detection, zoom: float) -> _Similarity:
    """The least-squares similarity from the landmarks to their places (Umeyama, 1991).

    In the plane, written in complex numbers, it is a linear regression. `zoom` is about the middle.
    """
    places = ((_PLACES - (0.5 + 0.5j)) * zoom + (0.5 + 0.5j)) * INPUT_SIDE
    longer = max(face.box.width, face.box.height)
    if face.landmarks is not None and np.isfinite(face.landmarks).all():
        x, y = face.landmarks.astype(np.float64).T
        points = x + 1j * y
        around, wanted = points - points.mean(), places - places.mean()
        spread = float((np.abs(around) ** 2).sum())
        turn = complex((around.conj() * wanted).sum() / spread) if spread > 0 else 0j
        error = float(np.sqrt((np.abs(turn * around - wanted) ** 2).mean())) / INPUT_SIDE
        ratio = abs(turn) * longer / (INPUT_SIDE * zoom)
        if error <= _LARGEST_ERROR and 1 / _LARGEST_RATIO <= ratio <= _LARGEST_RATIO:
            return _Similarity(turn, complex(places.mean() - turn * points.mean()))
    turn = complex(INPUT_SIDE * zoom / (_BOX_SCALE * longer))
    middle = complex(
        face.box.x + face.box.width / 2,
        face.box.y + face.box.height / 2 + _BOX_SHIFT * longer,
    )
    return _Similarity(turn, (0.5 + 0.5j) * INPUT_SIDE - turn * middle)


def _span(ends: Sequence[float], margin: int, side: int) -> tuple[int, int]:
    """What a crop needs of one side of the picture; at least a pixel."""
    first = math.floor(min(ends)) - margin
    last = math.ceil(max(ends)) + margin
    return min(max(first, 0), side - 1), max(min(last, side), 1)


def _as_fer(image: "BGRImage", face: Detection, grown: float) -> GreyImage:
    """What fer cuts out; where that reaches over the edge, the mean of the last two rows."""
    height, width = image.shape[:2]
    left, top, right, bottom = _fer_square(face.box, (height, width), grown)
    if min(left, top) >= 0 and right <= width and bottom <= height:
        shown = _grey(image[top:bottom, left:right])
    else:
        fill = round(cv2.mean(_grey(image[-2:]))[0])
        shown = np.full((bottom - top, right - left), fill, np.uint8)
        x1, x2 = np.clip((left, right), 0, width)
        y1, y2 = np.clip((top, bottom), 0, height)
        if x1 < x2 and y1 < y2:
            shown[y1 - top : y2 - top, x1 - left : x2 - left] = _grey(image[y1:y2, x1:x2])
    return _array(cv2.resize(shown, (INPUT_SIDE, INPUT_SIDE)))


def _fer_square(box: Box, shape: tuple[int, int], grown: float) -> _Rectangle:
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


def _grey(image: "BGRImage") -> GreyImage:
    return _array(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def _array(image: object) -> GreyImage:
    return np.asarray(image, dtype=np.uint8)
