"""The pictures that are measured: a set made from the sample frames, or a folder of one's own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from benchmarks.scenes import SCENES, draw
from fer_client.errors import FerWorkerError
from fer_worker.tools.media import find_pictures, read_frame

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

JPEG_QUALITY: Final = 80


@dataclass(frozen=True)
class Picture:
    """A JPEG file, and its size once it is decoded and upright."""

    name: str
    jpeg: bytes = field(repr=False)
    width: int
    height: int


def default_pictures() -> list[Picture]:
    """Make the default set: the same bytes on every run with the same OpenCV."""
    return _largest_first(encode(scene.name, draw(scene)) for scene in SCENES)


def own_pictures(folder: Path) -> list[Picture]:
    """Read the pictures of a folder; what is no JPEG is encoded as one.

    Raises:
        FerWorkerError: there is none, or one of them cannot be read.
    """
    return _largest_first(_read(path) for path in find_pictures([folder]))


def scaled(pictures: Iterable[Picture], height: int) -> list[Picture]:
    """Return the same pictures at another height in pixels."""
    return [
        encode(f"{picture.name} at {height}", _resize(_decode(picture.jpeg), height))
        for picture in pictures
    ]


def of_many_sizes(pictures: Sequence[Picture], heights: Iterable[int]) -> list[Picture]:
    """Return one picture a height, taking turns through those given."""
    return [
        picture
        for index, height in enumerate(heights)
        for picture in scaled([pictures[index % len(pictures)]], height)
    ]


def encode(name: str, image: "BGRImage") -> Picture:
    """Make a picture of pixels."""
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return Picture(name, encoded.tobytes(), width=image.shape[1], height=image.shape[0])


def jpegs(pictures: Iterable[Picture]) -> list[bytes]:
    """The files alone."""
    return [picture.jpeg for picture in pictures]


def _resize(image: "BGRImage", height: int) -> "BGRImage":
    """Scale a picture to a height, keeping its shape."""
    width = round(image.shape[1] * height / image.shape[0])
    smaller = height < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def _largest_first(pictures: Iterable[Picture]) -> list[Picture]:
    """So that no thread is left alone with a large one while the others have nothing more to do."""
    return sorted(pictures, key=lambda picture: picture.width * picture.height, reverse=True)


def _read(path: Path) -> Picture:
    jpeg = read_frame(path).jpeg
    try:
        height, width = _decode(jpeg).shape[:2]
    except ValueError as error:
        raise FerWorkerError(f"{path.name}: {error}") from error
    return Picture(path.name, jpeg, width, height)


def _decode(jpeg: bytes) -> "BGRImage":
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("not a picture that OpenCV can read")
    return np.asarray(image, dtype=np.uint8)
