"""Pictures scaled down as facenet-pytorch does: the levels of the pyramid, and candidate crops.

It resizes with `torch.nn.functional.interpolate(mode="area")`, which averages over integer bins:
along an axis of n pixels, output i of o is the mean of the pixels
floor(i * n / o) <= p < ceil((i + 1) * n / o). `cv2.INTER_AREA` weighs the pixels at the edges of a
bin by their overlap and gives other values.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

CELL = 12
"""Side in pixels of what P-Net sees at once."""
FACTOR = 0.709
"""From one level of the pyramid to the next; facenet-pytorch's default, about sqrt(1/2)."""


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
        image: (height, width, 3) uint8; the order of the channels is kept.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.height, self.width = image.shape[:2]
        # (height + 1, width + 1, 3) int32. Over 8 Mpx the sums wrap around; differences still hold.
        self._sums = np.asarray(cv2.integral(image, sdepth=cv2.CV_32S), dtype=np.int32)

    def level(self, scale: float) -> NDArray[np.float32]:
        """The whole picture: (1, 3, int(height * scale + 1), int(width * scale + 1)) float32."""
        top, bottom = _bins(0, self.height, int(self.height * scale + 1))
        left, right = _bins(0, self.width, int(self.width * scale + 1))
        # Rows first: it leaves less to gather. `take` copies the three channels of a pixel at once.
        rows = self._sums.take(bottom, axis=0) - self._sums.take(top, axis=0)
        sums = rows.take(right, axis=1) - rows.take(left, axis=1)
        return _normalised(sums[None], (bottom - top)[None], (right - left)[None])

    def crops(self, corners: NDArray[np.int32], size: int) -> NDArray[np.float32]:
        """Rectangles of the picture, each resized to a square.

        Args:
            corners: (N, 4) int32: left, top, right, bottom, the last two exclusive; inside the
                picture and not empty.
            size: side of the squares.

        Returns:
            (N, 3, size, size) float32
        """
        x1, y1, x2, y2 = corners.astype(np.int64).T
        top, bottom = _bins(y1[:, None], y2[:, None], size)
        left, right = _bins(x1[:, None], x2[:, None], size)
        lower, upper = bottom[:, :, None], top[:, :, None]
        sums = (
            self._sums[lower, right[:, None]]
            - self._sums[upper, right[:, None]]
            - self._sums[lower, left[:, None]]
            + self._sums[upper, left[:, None]]
        )
        return _normalised(sums, bottom - top, right - left)


def _bins(
    start: "int | NDArray[np.int64]", end: "int | NDArray[np.int64]", count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and past-the-last pixel of each of `count` bins over [start, end)."""
    index = np.arange(count)
    length = end - start
    return start + index * length // count, start - (-(index + 1) * length // count)


def _normalised(
    sums: NDArray[np.int32], heights: NDArray[np.int64], widths: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Sums of bins (N, h, w, 3) to means in about [-1, 1], (N, 3, h, w) float32.

    The order of the divisions is torch's, the constants are facenet-pytorch's.
    """
    means = np.ascontiguousarray(sums.transpose(0, 3, 1, 2), dtype=np.float32)
    means /= heights.astype(np.float32)[:, None, :, None]
    means /= widths.astype(np.float32)[:, None, None, :]
    means -= 127.5
    means *= 0.0078125
    return means
