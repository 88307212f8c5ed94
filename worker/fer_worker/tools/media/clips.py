"""Clips, decoded by OpenCV with its FFmpeg."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from fer_client.errors import FerWorkerError
from fer_worker.tools.files import reading
from fer_worker.tools.media.frames import MediaFrame, encode_jpeg, frame_id, sendable

if TYPE_CHECKING:
    from cv2 import VideoCapture

TOLERANCE_S: Final = 0.5
"""A clip may be so much shorter than it says: some containers only estimate it."""

FFMPEG_OPTIONS: Final = "rtsp_flags;prefer_tcp|ignore_editlist;1"
"""OpenCV's own default; and every frame that an MP4 holds, also those that a cut without encoding
has left in the file and hidden. Without them it would look like one that is damaged."""


def prepare_ffmpeg() -> None:
    """Set what FFmpeg in OpenCV reads from the environment; to be called before it is used.

    What it has to say of a broken clip are lines for its authors.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", FFMPEG_OPTIONS)
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def opencv_name(name: str | Path) -> str:
    """Give OpenCV a path or address as bytes: text that is not UTF-8 would crash it."""
    return cast("str", os.fsencode(name))


def read_clip(path: Path, fps: float | None = None) -> Iterator[MediaFrame]:
    """Read the frames of a clip, each decoded when it is asked for.

    Args:
        path: of the clip.
        fps: frames for each second of the clip's time, evenly spaced; all of them without it, or
            where it has fewer.

    Raises:
        FerWorkerError: it cannot be read; or it ends before it should, and then all frames up to
            there have been given.
    """
    import cv2

    source = sendable(path.as_posix())
    with _opened(path) as clip:
        own_rate, count = _rate(clip), _count(clip)
        rate = min(fps, own_rate) if fps and own_rate else fps or own_rate
        number = 0
        at_s, slot = 0.0, -1
        while clip.grab():
            position_s = clip.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if number and position_s <= at_s:  # the container does not say
                position_s = at_s + (1 / own_rate if own_rate else 0)
            at_s = position_s
            # The first frame of each 1 / fps; some containers round times to milliseconds.
            here = number if fps is None else int((at_s + 0.001) * fps)
            if here > slot:
                slot = here
                _, image = clip.retrieve()
                yield MediaFrame(
                    encode_jpeg(image),
                    frame_id(source, number),
                    source,
                    number,
                    at_s,
                    rate=rate,
                )
            number += 1
    if number == 0:
        raise FerWorkerError(f"cannot read {path}: not a clip, or damaged")
    if own_rate and number < count and at_s < (count - 1) / own_rate - TOLERANCE_S:
        raise FerWorkerError(f"{path} ended at frame {number} of {count}")


def clip_length(path: Path, fps: float | None = None) -> int:
    """Say how many frames `read_clip` will give, as far as the clip knows; 0 if it does not."""
    try:
        with _opened(path) as clip:
            rate, count = _rate(clip), _count(clip)
    except FerWorkerError:
        return 0
    return round(count * min(fps / rate, 1)) if fps and rate else count


def open_clip(path: Path) -> "VideoCapture":
    """Open a clip; who calls releases it.

    Returns:
        A capture, from which no frame can be read if this is no clip.

    Raises:
        FerWorkerError: the file cannot be read.
    """
    prepare_ffmpeg()
    import cv2

    with reading(path):
        path.open("rb").close()
    # The absolute path of a file, for FFmpeg alone: nothing that could be taken for an address.
    return cv2.VideoCapture(opencv_name(path.resolve()), cv2.CAP_FFMPEG)


@contextmanager
def _opened(path: Path) -> "Iterator[VideoCapture]":
    clip = open_clip(path)
    try:
        yield clip
    finally:
        clip.release()


def _rate(clip: "VideoCapture") -> float | None:
    """Frames per second, on average, as the container says."""
    import cv2

    rate = clip.get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate < 1000 else None


def _count(clip: "VideoCapture") -> int:
    """How many frames the container says it has; 0 where it does not say."""
    import cv2

    return max(int(clip.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
