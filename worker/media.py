"""Images, folders and clips -> JPEG frames, ready to be sent.

    paths ──find_pictures──▶ files ──read_frame───▶ frames ──batches──▶ lists of them
          ──find_media─────▶       ──read_frames──▶

Frames are pulled: a file is read, and a clip decoded, as far as the batch needs that is asked for,
so whoever sends slowly reads slowly.
"""

import os
import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from schemas import MAX_MESSAGE_BYTES, MAX_NAME_LENGTH
from worker.errors import FerWorkerError

JPEG_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
OTHER_SUFFIXES: Final = frozenset({".bmp", ".png", ".tif", ".tiff", ".webp"})
PICTURE_SUFFIXES: Final = JPEG_SUFFIXES | OTHER_SUFFIXES
CLIP_SUFFIXES: Final = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"})

JPEG_START: Final = b"\xff\xd8\xff"
"""The marker SOI and the first byte of the next one (ITU-T T.81, B.1.1.3)."""

JPEG_QUALITY: Final = 95
"""Of what is no JPEG yet: its faces should lose nothing."""

FRAME_OVERHEAD_BYTES: Final = 1024
"""More than the names, times and lengths around a frame's pixels take in a message."""


@dataclass(frozen=True, slots=True)
class MediaFrame:
    """One frame to send."""

    jpeg: bytes = field(repr=False)
    id: str
    """The path it came from, and `#` with its number in a clip, from 0; cut from the left to what a
    frame id may have."""
    path: Path


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """List the picture files that paths stand for, in the order given.

    Folders are searched with their subfolders, by file name, `frame-2` before `frame-10`; hidden
    files and folders are left out.

    Raises:
        FerWorkerError: a path is missing, no picture, or a folder without one.
    """
    return [file for path in paths for file in _files(path, PICTURE_SUFFIXES, "picture")]


def find_media(paths: Iterable[Path]) -> list[Path]:
    """List the picture files and clips that paths stand for, as `find_pictures` does.

    Raises:
        FerWorkerError: a path is missing, neither, or a folder without either.
    """
    kinds = PICTURE_SUFFIXES | CLIP_SUFFIXES
    return [file for path in paths for file in _files(path, kinds, "picture or clip")]


def read_frame(path: Path) -> MediaFrame:
    """Read a picture as a frame.

    JPEG files go as they are, broken ones too: what is wrong with them is for the worker to say.
    Other pictures are encoded as JPEG.

    Raises:
        FerWorkerError: it cannot be read, or is no picture.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    is_jpeg = path.suffix.lower() in JPEG_SUFFIXES or content.startswith(JPEG_START)
    jpeg = content if is_jpeg else _encode(path, content)
    return MediaFrame(jpeg, path.as_posix()[-MAX_NAME_LENGTH:], path)


def read_frames(path: Path) -> Iterator[MediaFrame]:
    """Read a picture as one frame, or a clip as its frames, each decoded when it is asked for.

    A clip that is damaged ends where it cannot be read any further.

    Raises:
        FerWorkerError: it cannot be read, is no picture, or not even one frame of a clip.
    """
    if path.suffix.lower() in CLIP_SUFFIXES:
        yield from _read_clip(path)
    else:
        yield read_frame(path)


def batches(
    frames: Iterable[MediaFrame], size: int, max_bytes: int = MAX_MESSAGE_BYTES
) -> Iterator[list[MediaFrame]]:
    """Group frames into batches of `size`, or fewer where the message would get too large.

    Args:
        frames: pulled one at a time, as batches are asked for.
        size: frames in a batch, at least 1.
        max_bytes: of the whole message. A frame larger than that is a batch by itself, for the
            client to refuse.
    """
    capacity = max_bytes - FRAME_OVERHEAD_BYTES
    batch: list[MediaFrame] = []
    used = 0
    for frame in frames:
        needed = len(frame.jpeg) + FRAME_OVERHEAD_BYTES
        if batch and used + needed > capacity:
            yield batch
            batch, used = [], 0
        batch.append(frame)
        used += needed
        if len(batch) == size:
            yield batch
            batch, used = [], 0
    if batch:
        yield batch


def _files(path: Path, suffixes: Set[str], what: str) -> list[Path]:
    """Files of these suffixes that a path stands for; `what` names them for an error."""
    try:
        if path.is_dir():
            if found := _files_in(path, suffixes):
                return found
            raise FerWorkerError(f"no {what.replace(' or ', 's or ')}s in {path}")
        if not path.exists():
            raise FerWorkerError(f"no such file or folder: {path}")
        if path.suffix.lower() in suffixes or _starts_as_jpeg(path):
            return [path]
    except OSError as error:
        raise _unreadable(path, error) from error
    raise FerWorkerError(f"not a {what}: {path}")


def _files_in(folder: Path, suffixes: Set[str]) -> list[Path]:
    def is_hidden(path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(folder).parts)

    found = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes and not is_hidden(path) and path.is_file()
    )
    return sorted(found, key=_by_number)


def _by_number(path: Path) -> list[tuple[str | int, ...]]:
    """Sort key by which numbers in names count as numbers."""
    return [
        # Text and numbers alternate, text first, so that like is compared with like.
        tuple(int(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+)", name)))
        for name in path.parts
    ]


def _starts_as_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(JPEG_START)) == JPEG_START


def _encode(path: Path, content: bytes) -> bytes:
    """Turn a picture of another kind into a JPEG."""
    import cv2  # not before it is needed: `--help` loads no OpenCV
    import numpy as np

    try:
        # Colour, 8 bits, upright: what a JPEG has, and what the worker would make of the picture.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise FerWorkerError(f"cannot read {path}: not a picture, or damaged")
        _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    except cv2.error as error:  # an empty file, or more pixels than OpenCV takes
        raise FerWorkerError(f"cannot read {path}: not a picture, or too large") from error
    return jpeg.tobytes()


def _read_clip(path: Path) -> Iterator[MediaFrame]:
    # Before FFmpeg is used. What it has to say of a broken clip are lines for its authors.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        path.open("rb").close()
    except OSError as error:
        raise _unreadable(path, error) from error
    # The absolute path of a file, for FFmpeg alone: nothing that could be taken for an address.
    clip = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    try:
        number = 0
        while (read := clip.read())[0]:
            _, jpeg = cv2.imencode(".jpg", read[1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            name = f"{path.as_posix()}#{number}"
            yield MediaFrame(jpeg.tobytes(), name[-MAX_NAME_LENGTH:], path)
            number += 1
    finally:
        clip.release()
    if number == 0:
        raise FerWorkerError(f"cannot read {path}: not a clip, or damaged")


def _unreadable(path: Path, error: OSError) -> FerWorkerError:
    return FerWorkerError(f"cannot read {path}: {error.strerror or error}")
