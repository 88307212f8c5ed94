"""Pictures with a label that names an emotion, ready to be analysed."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fer_client.errors import FerWorkerError
from fer_schemas import Emotion
from fer_worker.inference.jpeg.kinds import start_of_jpeg
from fer_worker.limits import FrameLimits
from fer_worker.tools.media import encode_jpeg

LISTED_SIDE: Final = 48
"""Pixels of a side of the pictures that fer2013.csv holds."""

_MAX_PIXELS: Final = FrameLimits().max_pixels


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A picture, and the emotion that its label names."""

    name: str
    """Its path within the data set; of one that a csv file holds, the file and the line."""
    emotion: Emotion
    path: Path
    pixels: bytes | None = field(default=None, repr=False)
    """48 rows of 48 grey values, where the file at `path` holds many pictures as text."""

    def to_jpeg(self, min_side: int) -> bytes:
        """Read the picture and make it a frame as workers take them.

        A JPEG that is large enough stays as it is. All else is encoded with quality 95.

        Args:
            min_side: a picture whose shorter side has fewer pixels is enlarged to so many
                (bicubic); 0 for never.

        Raises:
            FerWorkerError: it cannot be read, is no picture, or too long to be enlarged.
        """
        import cv2  # not before it is needed: `--help` loads no OpenCV
        import numpy as np

        try:
            content = self.path.read_bytes() if self.pixels is None else self.pixels
            data = np.frombuffer(content, np.uint8)
            if self.pixels is None:
                # Colour, 8 bits, upright: what a worker would make of it.
                image = cv2.imdecode(data, cv2.IMREAD_COLOR)
            else:
                image = data.reshape(LISTED_SIDE, LISTED_SIDE)
            if image is None:
                raise FerWorkerError("not a picture, or damaged")
            height, width = image.shape[:2]
            factor = max(1.0, min_side / min(height, width))
            if factor == 1 and start_of_jpeg(content) is not None:
                return content
            size = round(width * factor), round(height * factor)
            if size[0] * size[1] > _MAX_PIXELS:
                raise FerWorkerError(f"{width}x{height} pixels are too many, or too long a strip")
            if factor > 1:
                image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
            return encode_jpeg(image)
        except OSError as error:
            raise FerWorkerError(error.strerror or str(error)) from error
        except cv2.error as error:  # an empty file, or more pixels than OpenCV takes
            raise FerWorkerError("not a picture, or too large") from error


def shuffled(pictures: Iterable[LabelledPicture]) -> list[LabelledPicture]:
    """Put pictures into a random order, for the same ones always the same.

    Data sets are sorted by label. In this order the first ones are a fair sample of all.
    """
    order = list(pictures)
    random.Random(0).shuffle(order)
    return order
