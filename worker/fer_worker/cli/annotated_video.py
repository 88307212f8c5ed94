"""Annotated frames as one video."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fer_client.errors import FerWorkerError, FrameError
from fer_worker.cli.annotation import annotated, decoded, outcomes
from fer_worker.tools.files import writing
from fer_worker.tools.media import MediaFrame, expected_frames
from fer_worker.tools.media.clips import opencv_name
from fer_worker.tools.submission.answers import Answer

if TYPE_CHECKING:
    from cv2 import VideoWriter

    from fer_worker.inference.types import BGRImage

CODECS: Final = {".mp4": "mp4v", ".webm": "VP80"}
"""What OpenCV's wheels can encode, by the suffix of the file: MPEG-4 Part 2, and VP8."""

DEFAULT_RATE: Final = 10.0
"""Frames per second of a camera that does not say how many it has."""

PICTURES_RATE: Final = 1.0
"""Pictures per second, which have no time of their own."""

LONGEST_GAP_S: Final = 60.0
"""Of a source's time in a video. More is a clock that was set, and so is time that goes back."""


class VideoAnnotator:
    """Writes frames with what was found in them as one video, in their own time.

    A frame without an answer is there too, and says so. Where a source has gaps the frame before
    is held, and a frame that comes too early for its place is left out, so that a second of the
    video is a second of the source. Frames of another size are fitted into that of the first.
    """

    def __init__(self, path: Path) -> None:
        """Make the file, instead of one that may be there.

        Args:
            path: with a suffix of `CODECS`.

        Raises:
            FerWorkerError: it cannot be written.
        """
        with writing(path):
            path.open("wb").close()
        self._path = path
        self._writer: VideoWriter | None = None
        self._rate = DEFAULT_RATE
        self._size = (0, 0)
        self._written = 0
        self._last: BGRImage | None = None
        self._source = ""
        self._begins = 0
        """Where in the video the source begins, in frames."""
        self._first_s = 0.0
        """The time of its first frame, on its own clock."""
        self._last_s = 0.0
        """That of its last one."""

    def save(self, answer: Answer) -> list[Path | None]:
        """Append the frames of a batch; one that cannot be decoded is left out.

        Returns:
            Nothing: no frame has a file of its own.

        Raises:
            FerWorkerError: the video cannot be written.
        """
        from fer_worker.tools.media.drawing import with_caption

        for frame, found, why in outcomes(answer):
            with suppress(FrameError):
                if found is not None:
                    image = annotated(frame, found, answer)
                else:
                    image = with_caption(decoded(frame), why)
                self._append(frame, image)
        return []

    def close(self) -> None:
        """Complete the file; without a frame there is none.

        Raises:
            FerWorkerError: it cannot be read back. OpenCV does not say what it could not write.
        """
        if self._writer is None:
            self._path.unlink(missing_ok=True)
            return
        self._writer.release()
        if not expected_frames(self._path):
            raise FerWorkerError(f"cannot write {self._path}: it is not complete")

    def _append(self, frame: MediaFrame, image: "BGRImage") -> None:
        if self._writer is None:
            self._writer = self._open(frame, image)
        image = _fitted(image, self._size)
        place = self._place(frame)
        while self._last is not None and self._written < place:
            self._writer.write(self._last)
            self._written += 1
        if self._written == place:
            self._writer.write(image)
            self._written += 1
        self._last = image

    def _place(self, frame: MediaFrame) -> int:
        """Find the place of a frame in the video; places of a source begin with its first frame."""
        time_s = frame.position_s
        if frame.captured_at is not None:
            time_s = frame.captured_at.timestamp()
        if time_s is None:
            return self._written
        if frame.source != self._source or not 0 <= time_s - self._last_s <= LONGEST_GAP_S:
            self._source, self._begins, self._first_s = frame.source, self._written, time_s
        self._last_s = time_s
        # A clip's frames come at the beginning of their place or after it, a camera's around it.
        early = 0.1 if frame.captured_at is None else 0.5
        return self._begins + int((time_s - self._first_s) * self._rate + early)

    def _open(self, frame: MediaFrame, image: "BGRImage") -> "VideoWriter":
        import cv2

        is_picture = frame.position is None
        self._rate = frame.rate or (PICTURES_RATE if is_picture else DEFAULT_RATE)
        height, width = image.shape[:2]
        self._size = (max(width // 2, 1) * 2, max(height // 2, 1) * 2)  # codecs want even numbers
        codec = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
        with _without_stderr():
            writer = cv2.VideoWriter(
                opencv_name(self._path.resolve()), cv2.CAP_FFMPEG, codec, self._rate, self._size
            )
        if not writer.isOpened():
            raise FerWorkerError(f"cannot write {self._path}: OpenCV does not encode it")
        return writer


def _fitted(image: "BGRImage", size: tuple[int, int]) -> "BGRImage":
    """Scale a picture into a size, width and height, with black beside or above it."""
    import cv2
    import numpy as np

    width, height = size
    own_height, own_width = image.shape[:2]
    if (own_width, own_height) == size:
        return image
    scale = min(width / own_width, height / own_height)
    inner = max(round(own_width * scale), 1), max(round(own_height * scale), 1)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted: BGRImage = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    fitted[top : top + inner[1], left : left + inner[0]] = cv2.resize(
        image, inner, interpolation=how
    )
    return fitted


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Let nothing through to stderr, not even from C: OpenCV prints what WebM has no tag for."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
