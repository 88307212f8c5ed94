"""A picture, and the levels of its pyramid.

facenet-pytorch resizes with `torch.nn.functional.interpolate(mode="area")`, which averages over
integer bins: along an axis of n pixels, output i of o is the mean of the pixels
floor(i * n / o) <= p < ceil((i + 1) * n / o). `cv2.INTER_AREA` weighs the pixels at the edges of a
bin by their overlap and gives other values.
"""

from typing import Final, NamedTuple

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


class Level(NamedTuple):
    """A level of the pyramid, or a part of it."""

    scale: float
    window: Window


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


class Picture:
    """One picture, from which any rectangle of it can be made at any size.

    Args:
        image: (height, width, 3) uint8; the order of the channels is kept. A view of a picture with
            its channels reversed is as good as a copy.

    Attributes:
        height: of the picture.
        width: of the picture.
        pixels: (height, width, 3) uint8, row by row.
        is_reversed: whether the channels of `pixels` are in the opposite order.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.height, self.width = image.shape[:2]
        self.is_reversed = image.strides[2] < 0
        self.pixels = np.ascontiguousarray(image[:, :, ::-1] if self.is_reversed else image)

    def level_size(self, scale: float) -> tuple[int, int]:
        """Width and height of the whole picture at one scale."""
        return int(self.width * scale + 1), int(self.height * scale + 1)
