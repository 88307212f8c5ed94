"""Single frames of clips, by their number."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from fer_client.errors import FerWorkerError
from fer_worker.tools.media.clips import open_clip

if TYPE_CHECKING:
    from cv2 import VideoCapture

    from fer_worker.inference.types import BGRImage

SEEK_FRAMES: Final = 200
"""A frame that is no further ahead is decoded up to; there are clips that cannot be sought in."""

TOLERANCE_S: Final = 0.002
"""Times are rounded to milliseconds, by some containers and in rows of results."""


class ClipReader:
    """Has one clip open at a time, and goes on in it as far as it can; a context manager."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._clip: VideoCapture | None = None
        self._next = 0
        """Number of the frame that would be read next."""
        self._can_seek = True

    def __enter__(self) -> "ClipReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def read(self, path: Path, position: int, position_s: float | None) -> "BGRImage":
        """Read a frame: (height, width, 3) uint8, BGR, upright.

        Frames of one clip are best asked for in their order.

        Args:
            path: of the clip.
            position: number of the frame, from 0, as `read_clip` counts them.
            position_s: its time in the clip, in seconds, by which a seek is checked. Without it
                all frames before this one are decoded.

        Raises:
            FerWorkerError: the clip has no such frame, or is none.
        """
        import cv2

        clip = self._opened(path, position)
        if self._can_seek and position_s is not None and position - self._next > SEEK_FRAMES:
            clip.set(cv2.CAP_PROP_POS_FRAMES, position)
            self._next = position
            image = self._read_on(clip, position)
            at_s = clip.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if image is not None and abs(at_s - position_s) <= TOLERANCE_S:
                return image
            # OpenCV seeks by the average rate. One such clip is decoded from its start, once.
            self._can_seek = False
            clip = self._opened(path, position)
        image = self._read_on(clip, position)
        if image is None:
            raise FerWorkerError(f"{path.name} has no frame {position} that can be read")
        return image

    def _opened(self, path: Path, position: int) -> "VideoCapture":
        """Have a clip open, at this frame or before it."""
        if self._clip is None or path != self._path or position < self._next:
            self._close()
            self._clip = open_clip(path)
            self._can_seek = self._can_seek or path != self._path
            self._path, self._next = path, 0
        return self._clip

    def _read_on(self, clip: "VideoCapture", position: int) -> "BGRImage | None":
        """Decode up to a frame; None if the clip ends before it."""
        import numpy as np

        while self._next < position and clip.grab():
            self._next += 1
        read, image = clip.read()
        self._next += 1
        return np.asarray(image, dtype=np.uint8) if read else None

    def _close(self) -> None:
        if self._clip is not None:
            self._clip.release()
            self._clip = None
