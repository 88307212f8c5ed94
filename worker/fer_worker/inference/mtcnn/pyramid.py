"""The levels of the pyramid, and the integral image that they are made from.

facenet-pytorch resizes with `torch.nn.functional.interpolate(mode="area")`, which averages over
integer bins: along an axis of n pixels, output i of o is the mean of the pixels
floor(i * n / o) <= p < ceil((i + 1) * n / o). `cv2.INTER_AREA` weighs the pixels at the edges of a
bin by their overlap and gives other values.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.types import LEAST_FACE_SIZE

CELL: Final = LEAST_FACE_SIZE
"""Side in pixels of what P-Net sees at once."""
FACTOR: Final = 0.709
"""From one level of the pyramid to the next; facenet-pytorch's default, about sqrt(1/2)."""


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


class IntegralImage:
    """One picture, from which any rectangle of it can be made at any size.

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
