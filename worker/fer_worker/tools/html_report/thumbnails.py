"""The most relevant frames as small pictures, from files that may be gone or changed meanwhile.

    series ──choose──▶ frames ──read_thumbnails──▶ JPEGs, or why there are none

Files are read, and nothing is fetched from an address.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from pydantic import ValidationError

from fer_client.errors import FerWorkerError
from fer_schemas import FaceResult, FrameResult
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.limits import FrameLimits
from fer_worker.tools.face_table import Row
from fer_worker.tools.html_report.counts import EMOTIONS, Best, scores_of
from fer_worker.tools.html_report.series import Series
from fer_worker.tools.media import CLIP_SUFFIXES, encode_jpeg, read_frame
from fer_worker.tools.media.drawing import annotate
from fer_worker.tools.media.seeking import ClipReader

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

SIZE: Final = (320, 240)
"""Width and height in pixels."""

JPEG_QUALITY: Final = 80

FACE_SHARE: Final = 0.42
"""Of the height of a thumbnail: what is around a face says who and where it is."""

MIN_FACE: Final = 12
"""Side in pixels of the smallest face that is looked for (`--min-face-size`)."""


@dataclass(frozen=True)
class Thumbnail:
    """One frame that is shown, or why it cannot be."""

    row: Row
    """Of its largest face."""
    batches: int
    """Of which it is the most relevant frame."""
    jpeg: bytes | None
    """`SIZE` pixels: the face and what is around it."""
    missing: str = ""
    """Why there is no JPEG."""

    @property
    def data_uri(self) -> str:
        """The JPEG as an address that holds it."""
        return f"data:image/jpeg;base64,{b64encode(self.jpeg or b'').decode()}"


def choose(all_series: Sequence[Series], most: int) -> list[list[Best]]:
    """Pick at most so many frames in all, for each series a list.

    Each series has the same number, if it has as many; they are spread evenly over its batches:
    of some that follow each other the frame with the largest face.
    """
    chosen: list[list[Best]] = [[] for _ in all_series]
    fewest_first = sorted(range(len(all_series)), key=lambda index: all_series[index].batches)
    for done, index in enumerate(fewest_first):
        share = most // (len(all_series) - done)
        chosen[index] = _merged(list(all_series[index].best), share)
        most -= len(chosen[index])
    return chosen


def _merged(candidates: Sequence[Best], most: int) -> list[Best]:
    """Put neighbours together until there are no more than so many."""
    groups = [Best() for _ in range(min(len(candidates), most))]
    for number, candidate in enumerate(candidates if most else ()):
        groups[number * len(groups) // len(candidates)].absorb(candidate)
    return groups


def read_thumbnails(chosen: Sequence[Best], folder: Path) -> list[Thumbnail]:
    """Read the pictures of frames, in the order given.

    Args:
        chosen: frames with a face.
        folder: where relative paths begin that lead nowhere from the working directory.
    """
    wanted = [(best.row, best.batches) for best in chosen if best.row is not None]

    def clip_and_position(index: int) -> tuple[str, int]:
        row, _ = wanted[index]
        return row.source, row.position or 0

    found: dict[int, Thumbnail] = {}
    with ClipReader() as clip:
        for index in sorted(range(len(wanted)), key=clip_and_position):  # each clip forwards, once
            row, batches = wanted[index]
            try:
                found[index] = Thumbnail(row, batches, _thumbnail(row, folder, clip))
            except FerWorkerError as error:
                found[index] = Thumbnail(row, batches, None, str(error))
    return [found[index] for index in range(len(wanted))]


def _thumbnail(row: Row, folder: Path, clip: ClipReader) -> bytes:
    """Make the JPEG of a frame.

    Raises:
        FerWorkerError: there is no picture of it.
    """
    image, is_annotated = _picture(row, folder, clip)
    if image.shape[:2] != (row.height, row.width):
        raise FerWorkerError("the picture has another size than the frame had")
    face = _face(row)
    if not _is_within(face.box, image.shape[1], image.shape[0]):
        raise FerWorkerError("its row says that the face is outside of the frame")
    left, top, width, height = around(face.box, image.shape[1], image.shape[0])
    cut = image[top : top + height, left : left + width]
    scale = SIZE[0] / width
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = np.asarray(cv2.resize(cut, SIZE, interpolation=method), dtype=np.uint8)
    if not is_annotated:
        x, y, *size = face.box
        box = tuple(round(pixels * scale) for pixels in (x - left, y - top, *size))
        moved = face.model_copy(update={"box": box})
        result = FrameResult(id=None, width=SIZE[0], height=SIZE[1], faces=(moved,))
        small = annotate(small, result, with_bars=False)
    return encode_jpeg(small, JPEG_QUALITY)


def _picture(row: Row, folder: Path, clip: ClipReader) -> tuple["BGRImage", bool]:
    """Find the picture of a frame, and whether boxes are drawn in it."""
    if row.annotated is not None and (copy := _find(row.annotated, folder)):
        return decode_frame(read_frame(copy).jpeg, FrameLimits()).image, True
    path = _find(row.source, folder)
    if path is None:
        raise FerWorkerError("neither the frame nor an annotated copy of it is there")
    if path.suffix.lower() in CLIP_SUFFIXES:
        return clip.read(path, row.position or 0, row.position_s), False
    return decode_frame(read_frame(path).jpeg, FrameLimits()).image, False


def _find(name: str, folder: Path) -> Path | None:
    """Find a file; addresses of cameras are none."""
    try:
        return next((path for path in (Path(name), folder / name) if path.is_file()), None)
    except OSError:  # a name that is too long, a folder that is closed to us
        return None


def _face(row: Row) -> FaceResult:
    scores = scores_of(row)
    try:
        return FaceResult.model_validate(
            {
                "box": (row.x, row.y, row.box_width, row.box_height),
                "area": row.area,
                "probability": row.probability,
                "emotions": dict(zip(EMOTIONS, scores or (), strict=False)),
            }
        )
    except ValidationError as error:
        raise FerWorkerError("its row does not say where the face is") from error


def _is_within(box: tuple[int, int, int, int], width: int, height: int) -> bool:
    """Whether a box is about in the frame; those of faces may cross its edge."""
    x, y, box_width, box_height = box
    return (
        -width < x < width
        and -height < y < height
        and 0 < box_width <= 2 * width
        and 0 < box_height <= 2 * height
    )


def around(box: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int, int, int]:
    """Choose the part of a frame to show: a face, in its middle as far as the frame reaches.

    Args:
        box: x, y, width, height of the face; it may cross the edge of the frame.
        width: of the frame, in pixels, as are all of these.
        height: of the frame.

    Returns:
        x, y, width, height within the frame, in the proportions of `SIZE`.
    """
    x, y, face_width, face_height = box
    ratio = SIZE[0] / SIZE[1]
    wanted = max(face_height, face_width, MIN_FACE) / FACE_SHARE
    part_height = max(min(wanted, height, width / ratio), 1)
    part_width = max(part_height * ratio, 1)
    left = min(max(x + face_width / 2 - part_width / 2, 0), width - part_width)
    top = min(max(y + face_height / 2 - part_height / 2, 0), height - part_height)
    return int(left), int(top), int(part_width), int(part_height)
