"""Pictures scaled down as facenet-pytorch does: the levels of the pyramid, and candidate crops.

It resizes with `torch.nn.functional.interpolate(mode="area")`, which averages over integer bins:
along an axis of n pixels, output i of o is the mean of the pixels
floor(i * n / o) <= p < ceil((i + 1) * n / o). `cv2.INTER_AREA` weighs the pixels at the edges of a
bin by their overlap and gives other values.
"""

import threading
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
        sums: its integral image, (3, height + 1, width + 1) int32.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.height, self.width = image.shape[:2]
        channels = [0, 1, 2]
        if image.strides[2] < 0:  # OpenCV would copy it
            image, channels = image[:, :, ::-1], [2, 1, 0]
        shape = (3, self.height + 1, self.width + 1)
        self._memory = _Memory.take(3 * shape[1] * shape[2])
        # A plane a channel, as the networks take them. Over 8 Mpx the sums wrap around; differences
        # still hold.
        self.sums = self._memory[: 3 * shape[1] * shape[2]].reshape(shape)
        plane = np.empty((self.height, self.width), np.uint8)
        for channel, sums in zip(channels, self.sums, strict=True):
            cv2.integral(cv2.extractChannel(image, channel, plane), sums, sdepth=cv2.CV_32S)

    def __del__(self) -> None:
        _Memory.spare.sums = self._memory

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
            for sums, binned in zip(self.sums, means[0], strict=True):
                # Rows first: it leaves less to gather.
                strips = sums[last, across]
                strips -= sums[first, across]
                bins = strips.take(right - across.start, axis=1)
                bins -= strips.take(left - across.start, axis=1)
                binned[:] = bins
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
        # Where the four corners of the bins lie in a plane laid out flat.
        upper, lower = ((row * (self.width + 1))[:, :, None] for row in (top, bottom))
        corner_indices = [
            row + column[:, None] for row in (lower, upper) for column in (right, left)
        ]
        crops = np.empty((len(corners), 3, size, size), np.float32)
        for channel, sums in enumerate(self.sums):
            flat = sums.reshape(-1)
            lower_right, lower_left, upper_right, upper_left = map(flat.take, corner_indices)
            lower_right -= lower_left
            lower_right -= upper_right
            lower_right += upper_left
            crops[:, channel] = lower_right
        return _normalised(crops, bottom - top, right - left)


class _Memory:
    """The sums of the last picture of a thread, for the next one to write over.

    Memory fresh from the system takes longer to touch for the first time than to fill with sums.
    """

    spare = threading.local()
    _KEPT = 10_000_000
    """Integers, 40 MB: the sums of more than three megapixels are not kept."""

    @classmethod
    def take(cls, size: int) -> NDArray[np.int32]:
        """At least `size` integers of any value, until `spare.sums` is set to them."""
        memory: NDArray[np.int32] | None = getattr(cls.spare, "sums", None)
        cls.spare.sums = None
        if memory is None or not size <= memory.size <= cls._KEPT:
            memory = np.empty(size, np.int32)
        return memory


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
