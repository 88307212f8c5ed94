"""Annotated copies of frames: pictures in a folder, or one video."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Final

from schemas import FrameResult
from worker.answers import Answer
from worker.config import FrameLimits
from worker.errors import FerWorkerError, FrameError
from worker.media import MediaFrame

if TYPE_CHECKING:
    from cv2 import VideoWriter

    from worker.inference.engine import BGRImage

CODECS: Final = {".mp4": "mp4v", ".webm": "VP80"}
"""What OpenCV's wheels can encode, by the suffix of the file: MPEG-4 Part 2, and VP8."""

DEFAULT_RATE: Final = 10.0
"""Frames a second of a camera that does not say how many it has."""

PICTURES_RATE: Final = 1.0
"""Pictures a second, which have no time of their own."""


LONGEST_GAP_S: Final = 60.0
"""Of a source's time in a video. More is a clock that was set, and so is time that goes back."""


class Annotator:
    """Writes frames with what was found in them into one directory, a JPEG each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stems: dict[str, str] = {}
        """Of the files, by source."""
        self._taken: set[str] = set()

    def save(self, answer: Answer) -> list[Path | None]:
        """Write the frames of an answered batch, named as they are; one that failed is left out.

        Returns:
            Where each frame is; None for one that was left out.

        Raises:
            FerWorkerError: the directory cannot be written to.
        """
        import cv2  # not at the top: --help loads no OpenCV

        copies: list[Path | None] = []
        for frame, found, _ in _outcomes(answer):
            if found is None:
                copies.append(None)
                continue
            path = self._directory / self._name(frame)
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                path.write_bytes(cv2.imencode(".jpg", _annotated(frame, found))[1].tobytes())
            except OSError as error:
                raise _unwritable(path, error) from error
            copies.append(path)
        return copies

    def close(self) -> None:
        """Nothing is left to be written."""

    def _name(self, frame: MediaFrame) -> str:
        stem = self._stems.get(frame.source)
        if stem is None or frame.position is None:
            stem = self._stems[frame.source] = self._new_stem(frame)
        return f"{stem}.jpg" if frame.position is None else f"{stem}-{frame.position:06}.jpg"

    def _new_stem(self, frame: MediaFrame) -> str:
        """A name not used yet: files of several folders may be called alike."""
        name = Path(frame.source).stem
        if frame.captured_at is not None:  # an address, which has what no file should have
            name = re.sub(r"\W+", "-", frame.source)
        numbered = (f"{name}-{number}" for number in count(2))
        stem = next(stem for stem in chain((name,), numbered) if stem not in self._taken)
        self._taken.add(stem)
        return stem


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
        try:
            path.open("wb").close()
        except OSError as error:
            raise _unwritable(path, error) from error
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
        from worker.drawing import with_caption

        for frame, found, why in _outcomes(answer):
            with suppress(FrameError):
                if found is not None:
                    image = _annotated(frame, found)
                else:
                    image = with_caption(_decoded(frame), why)
                self._append(frame, image)
        return []

    def close(self) -> None:
        """Complete the file; without a frame there is none."""
        if self._writer is not None:
            self._writer.release()
        else:
            self._path.unlink(missing_ok=True)

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
        return self._begins + round((time_s - self._first_s) * self._rate)

    def _open(self, frame: MediaFrame, image: "BGRImage") -> "VideoWriter":
        import cv2

        is_picture = frame.position is None
        self._rate = frame.rate or (PICTURES_RATE if is_picture else DEFAULT_RATE)
        height, width = image.shape[:2]
        self._size = (max(width // 2, 1) * 2, max(height // 2, 1) * 2)  # codecs want even numbers
        codec = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
        with _without_stderr():
            writer = cv2.VideoWriter(
                str(self._path.resolve()), cv2.CAP_FFMPEG, codec, self._rate, self._size
            )
        if not writer.isOpened():
            raise FerWorkerError(f"cannot write {self._path}: OpenCV does not encode it")
        return writer


def _outcomes(answer: Answer) -> Iterator[tuple[MediaFrame, FrameResult | None, str]]:
    """Give each frame with what was found in it, or with None and why nothing was."""
    result = answer.result
    found = () if result is None else result.frames
    errors = {} if result is None else {error.frame: str(error.code) for error in result.errors}
    whole = errors.get(None, str(answer.error or "no answer"))
    for number, (frame, analysed) in enumerate(zip_longest(answer.frames, found)):
        if frame is not None:
            is_analysed = analysed is not None and analysed.width is not None
            yield frame, analysed if is_analysed else None, errors.get(number, whole)


def _decoded(frame: MediaFrame) -> "BGRImage":
    from worker.inference.frames import decode_frame

    return decode_frame(frame.jpeg, FrameLimits())


def _annotated(frame: MediaFrame, found: FrameResult) -> "BGRImage":
    from worker.drawing import annotate

    return annotate(_decoded(frame), found)


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


def _unwritable(path: Path, error: OSError) -> FerWorkerError:
    return FerWorkerError(f"cannot write {path}: {error.strerror or error}")
