"""Annotated copies of frames: pictures in a folder."""

import re
from collections.abc import Iterator
from itertools import chain, count, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from schemas import FrameResult
from worker.answers import Answer
from worker.config import FrameLimits
from worker.errors import FerWorkerError, FrameError
from worker.media import MediaFrame

if TYPE_CHECKING:
    from worker.inference.engine import BGRImage


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
        for frame, found, _ in outcomes(answer):
            try:
                image = None if found is None else annotated(frame, found)
            except FrameError:  # larger than the workers' default; theirs take larger ones
                image = None
            if image is None:
                copies.append(None)
                continue
            path = self._directory / self._name(frame)
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                path.write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
            except OSError as error:
                raise unwritable(path, error) from error
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


def outcomes(answer: Answer) -> Iterator[tuple[MediaFrame, FrameResult | None, str]]:
    """Give each frame with what was found in it, or with None and why nothing was."""
    result = answer.result
    found = () if result is None else result.frames
    errors = {} if result is None else {error.frame: str(error.code) for error in result.errors}
    whole = errors.get(None, str(answer.error or "no answer"))
    for number, (frame, analysed) in enumerate(zip_longest(answer.frames, found)):
        if frame is not None:
            is_analysed = analysed is not None and analysed.width is not None
            yield frame, analysed if is_analysed else None, errors.get(number, whole)


def decoded(frame: MediaFrame) -> "BGRImage":
    """Decode a frame, upright.

    Raises:
        FrameError: it cannot be decoded.
    """
    from worker.inference.frames import decode_frame

    return decode_frame(frame.jpeg, FrameLimits())


def annotated(frame: MediaFrame, found: FrameResult) -> "BGRImage":
    """Decode a frame, and draw what was found in it.

    Raises:
        FrameError: it cannot be decoded.
    """
    from worker.drawing import annotate

    return annotate(decoded(frame), found)


def unwritable(path: Path, error: OSError) -> FerWorkerError:
    """Say that a file cannot be written, and why."""
    return FerWorkerError(f"cannot write {path}: {error.strerror or error}")
