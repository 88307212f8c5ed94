"""Pictures scaled down as facenet-pytorch does: the levels of the pyramid, and candidate crops.

It resizes with `torch.nn.functional.interpolate(mode="area")`, which averages over integer bins:
along an axis of n pixels, output i of o is the mean of the pixels
floor(i * n / o) <= p < ceil((i + 1) * n / o). `cv2.INTER_AREA` weighs the pixels at the edges of a
bin by their overlap and gives other values.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

CELL = 12
"""Side in pixels of what P-Net sees at once."""
FACTOR = 0.709
"""From one level of the pyramid to the next; facenet-pytorch's default, about sqrt(1/2)."""
_ROWS = 64
"""Rows of a level made at once: what lies between its steps stays in the cache."""


class Window(NamedTuple):
    """A part of a level, in its pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


def pyramid_scales(height: int, width: int, min_face_size: int) -> list[float]:
    """Scales at which P-Net's cell spans faces from `min_face_size` pixels up, finest first.

    Empty if the frame is smaller than the smallest face.
    """
    scale = CELL / min_face_size
    side = min(height, width) * scale
    scales = []
    # Multiplied up step by step, as facenet-pytorch does: a power would round otherwise.
    while side >= CELL:
        scales.append(scale)
        scale *= FACTOR
        side *= FACTOR
    return scales


class AreaResizer:
    """One picture, any rectangle of it at any size, as input of the MTCNN networks.

    The sum over a bin is read from four corners of an integral image. Sums are exact integers; they
    are divided in float32 as torch does (bins under 2**24 / 255 pixels: bit for bit as torch).

    Args:
        image: (height, width, 3) uint8; the order of the channels is kept. A view of a picture with
            its channels reversed is as good as a copy.

    Attributes:
        height: of the picture.
        width: of the picture.
        sums: its integral image, (height + 1, width + 1, 3) int32.
        is_reversed: whether the channels of `sums` are in the opposite order.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.height, self.width = image.shape[:2]
        self.is_reversed = image.strides[2] < 0
        if self.is_reversed:  # OpenCV would copy it
            image = image[:, :, ::-1]
        # Over 8 Mpx the sums wrap around; differences still hold.
        self.sums = np.empty((self.height + 1, self.width + 1, 3), np.int32)
        cv2.integral(image, self.sums, sdepth=cv2.CV_32S)

    def level_size(self, scale: float) -> tuple[int, int]:
        """Width and height of the whole picture at one scale."""
        return int(self.width * scale + 1), int(self.height * scale + 1)

    def level(self, scale: float, window: Window | None = None) -> NDArray[np.float32]:
        """The picture at one scale, or a part of it: (1, 3, height, width) float32."""
        columns, rows = self.level_size(scale)
        x1, y1, x2, y2 = window or Window(0, 0, columns, rows)
        top, bottom = _bins(0, self.height, rows, y1, y2)
        left, right = _bins(0, self.width, columns, x1, x2)
        across = slice(int(left[0]), int(right[-1]) + 1)
        level = np.empty((1, 3, y2 - y1, x2 - x1), np.float32)
        for start in range(0, y2 - y1, _ROWS):
            rows_here = slice(start, start + _ROWS)
            first, last, means = top[rows_here], bottom[rows_here], level[:, :, rows_here]
            # Rows first: it leaves less to gather.
            strips = self.sums[last, across]
            strips -= self.sums[first, across]
            bins = strips.take(right - across.start, axis=1)
            bins -= strips.take(left - across.start, axis=1)
            means[0] = self._in_order(bins).transpose(2, 0, 1)
            _normalised(means, (last - first)[None], (right - left)[None])
        return level

    def crops(self, corners: NDArray[np.int32], size: int) -> NDArray[np.float32]:
        """Rectangles of the picture, each resized to a square.

        Args:
            corners: (N, 4) int32: left, top, right, bottom, the last two exclusive; inside the
                picture and not empty.
            size: side of the squares.

        Returns:
            (N, 3, size, size) float32
        """
        x1, y1, x2, y2 = corners.astype(np.int64).T[:, :, None]
        top, bottom = _bins(y1, y2, size)
        left, right = _bins(x1, x2, size)
        # Where the four corners of the bins lie among all pixels.
        upper, lower = ((row * (self.width + 1))[:, :, None] for row in (top, bottom))
        pixels = self.sums.reshape(-1, 3)
        lower_right, lower_left, upper_right, upper_left = (
            pixels.take(row + column[:, None], axis=0)
            for row in (lower, upper)
            for column in (right, left)
        )
        lower_right -= lower_left
        lower_right -= upper_right
        lower_right += upper_left
        crops = self._in_order(lower_right).transpose(0, 3, 1, 2).astype(np.float32, order="C")
        return _normalised(crops, bottom - top, right - left)

    def _in_order(self, bins: NDArray[np.int32]) -> NDArray[np.int32]:
        """Sums (…, 3) with the channels in the order of the picture."""
        return bins[..., ::-1] if self.is_reversed else bins


def _bins(
    start: "int | NDArray[np.int64]",
    end: "int | NDArray[np.int64]",
    count: int,
    first: int = 0,
    last: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and past-the-last pixel of `count` bins over [start, end), or of some of them."""
    index = np.arange(first, count if last is None else last)
    length = end - start
    return start + index * length // count, start - (-(index + 1) * length // count)


def _normalised(
    means: NDArray[np.float32], heights: NDArray[np.int64], widths: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Sums of bins (N, 3, h, w) to means in about [-1, 1], in place.

    The order of the divisions is torch's, the constants are facenet-pytorch's.
    """
    means /= heights.astype(np.float32)[:, None, :, None]
    means /= widths.astype(np.float32)[:, None, None, :]
    means -= np.float32(127.5)
    means *= np.float32(0.0078125)
    return means
