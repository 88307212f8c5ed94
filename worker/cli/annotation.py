"""Annotated copies of frames on disk."""

from itertools import count
from pathlib import Path

from worker.answers import Answer
from worker.config import FrameLimits
from worker.errors import FerWorkerError


class Annotator:
    """Writes frames with what was found in them into one directory, a JPEG each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._names: set[str] = set()

    def save(self, answer: Answer) -> None:
        """Write the frames of an answered batch, named as they are; one that failed is left out.

        Raises:
            FerWorkerError: the directory cannot be written to.
        """
        import cv2  # not at the top: --help loads no OpenCV

        from worker.drawing import annotate
        from worker.inference.frames import decode_frame

        if answer.result is None:
            return
        for frame, found in zip(answer.frames, answer.result.frames, strict=False):
            if found.width is None:
                continue
            image = decode_frame(frame.jpeg, FrameLimits())
            path = self._directory / self._name(Path(frame.source).stem)
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                path.write_bytes(cv2.imencode(".jpg", annotate(image, found))[1].tobytes())
            except OSError as error:
                raise FerWorkerError(f"cannot write {path}: {error.strerror}") from error

    def _name(self, stem: str) -> str:
        """A file name not used yet: frames of several folders may be called alike."""
        numbers = count(2)
        name = f"{stem}.jpg"
        while name in self._names:
            name = f"{stem}-{next(numbers)}.jpg"
        self._names.add(name)
        return name
