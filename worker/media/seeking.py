"""Single frames of clips, by their number."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from worker.errors import FerWorkerError
from worker.media.clips import prepare_ffmpeg

if TYPE_CHECKING:
    from cv2 import VideoCapture

    from worker.inference.engine import BGRImage

SEEK_FRAMES: Final = 200
"""A frame that is no further ahead is decoded up to; there are clips that cannot be sought in."""


class ClipReader:
    """Has one clip open at a time, and goes on in it as far as it can; a context manager."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._clip: VideoCapture | None = None
        self._next = 0
        """Number of the frame that would be read next."""

    def __enter__(self) -> "ClipReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def read(self, path: Path, position: int) -> "BGRImage":
        """Read a frame: (height, width, 3) uint8, BGR, upright.

        Frames of one clip are best asked for in their order.

        Args:
            path: of the clip.
            position: number of the frame, from 0, as `read_clip` counts them.

        Raises:
            FerWorkerError: the clip has no such frame, or is none.
        """
        import cv2
        import numpy as np

        if self._clip is None or path != self._path or position < self._next:
            self._close()
            prepare_ffmpeg()
            # The absolute path of a file, for FFmpeg alone: nothing that could be an address.
            self._clip = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
            self._path, self._next = path, 0
        if position - self._next > SEEK_FRAMES:
            self._clip.set(cv2.CAP_PROP_POS_FRAMES, position)
            self._next = position
        while self._next < position and self._clip.grab():
            self._next += 1
        read, image = self._clip.read()
        self._next += 1
        if not read:
            raise FerWorkerError(f"{path.name} has no frame {position} that can be read")
        return np.asarray(image, dtype=np.uint8)

    def _close(self) -> None:
        if self._clip is not None:
            self._clip.release()
            self._clip = None
