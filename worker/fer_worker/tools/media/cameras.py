"""Cameras: of this machine, or streams of the network. They do not wait, so frames are dropped."""

import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from fer_client.config import mask_password
from fer_client.errors import FerWorkerError
from fer_worker.tools.media.clips import opencv_name, prepare_ffmpeg
from fer_worker.tools.media.frames import MediaFrame, encode_jpeg, frame_id, sendable

if TYPE_CHECKING:
    from cv2 import VideoCapture
    from cv2.typing import MatLike

SCHEMES: Final = ("rtsp", "rtsps", "http", "https")

LOCAL: Final = re.compile(r"camera:(\d{1,3})", re.ASCII)
"""The name of a camera of this machine."""

TIMEOUT_S: Final = 10.0
"""How long a camera may take to open, and for its next frame."""

LOOK_S: Final = 0.1
"""How long `frames` waits for one before it says that there is none."""

LEAVE_S: Final = 1.0
"""How long its thread may take to leave it."""

MAX_RATE: Final = 120
"""Streams that do not know their own rate name that of their clock."""


def is_address(text: str) -> bool:
    """Whether this names a camera or a stream, and no file.

    Raises:
        FerWorkerError: it is an address of a kind that cannot be read.
    """
    if LOCAL.fullmatch(text):
        return True
    scheme, separator, _ = text.partition("://")
    if not separator or not scheme.isalnum():
        return False
    if scheme.lower() not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise FerWorkerError(f"cannot read {mask_password(text)}; only {known} and camera:N")
    return True


class Camera:
    """A camera that is read as fast as it gives frames; a reader gets the newest one.

    A context manager: entering opens the camera. A thread owns it, so that nobody waits for FFmpeg.
    """

    def __init__(
        self, address: str, fps: float | None = None, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Store what is needed.

        Args:
            address: `camera:0`, or one of the `SCHEMES`.
            fps: frames per second at most; as many as are asked for without it.
            timeout_s: how long it may take to open, and for its next frame.
        """
        self.name = sendable(mask_password(address))
        self._address = address
        self._fps = fps
        self._timeout_s = timeout_s
        self._changed = threading.Condition()
        self._rate: float | None = None
        self._opened = False
        self._ended = False
        self._newest: tuple[int, datetime, MatLike] | None = None
        self._grabbed = 0.0
        """When the last frame came, on the monotonic clock."""

    def __enter__(self) -> "Camera":
        """Open it.

        Raises:
            FerWorkerError: it does not open.
        """
        # A daemon, should FFmpeg not come back. But where it can be, it is waited for: Python ends
        # daemons at its own end, and C++ takes that for a fault and aborts.
        self._thread = threading.Thread(target=self._read, name="camera", daemon=True)
        self._thread.start()
        try:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._opened or self._ended, self._timeout_s + LEAVE_S
                )
        finally:
            if not self._opened:
                self.__exit__()
        if not self._opened:
            raise FerWorkerError(f"cannot open {self.name}: {self._reason()}")
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join(LEAVE_S)

    def frames(self) -> Iterator[MediaFrame | None]:
        """Give the newest frame, again and again; None where no new one came for a moment.

        Raises:
            FerWorkerError: there are no more frames.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._ended, LOOK_S)
                taken, self._newest = self._newest, None
            if taken is not None:
                yield self._as_frame(*taken)
            elif self._ended or time.monotonic() - self._grabbed > self._timeout_s:
                raise FerWorkerError(f"{self.name} gives no more frames")
            else:
                yield None

    def _as_frame(self, number: int, captured_at: datetime, image: "MatLike") -> MediaFrame:
        return MediaFrame(
            encode_jpeg(image),
            frame_id(self.name, number),
            self.name,
            number,
            captured_at=captured_at,
            rate=self._rate,
        )

    def _reason(self) -> str:
        if LOCAL.fullmatch(self._address):
            return "there is no such camera, or another program has it"
        return f"not reachable within {self._timeout_s:g} s, or no video"

    # What follows runs on the camera's own thread.

    def _read(self) -> None:
        """Open the camera and take frames until it ends or is left."""
        import cv2

        capture = self._open()
        try:
            with self._changed:
                rate = capture.get(cv2.CAP_PROP_FPS)
                self._rate = self._fps or (rate if 0 < rate <= MAX_RATE else None)
                self._grabbed = time.monotonic()
                self._opened = capture.isOpened()
                self._changed.notify()
            interval_s = 1 / self._fps if self._fps else 0.0
            number, due = 0, time.monotonic()
            while not self._ended and capture.grab():
                self._grabbed = now = time.monotonic()
                if now >= due:
                    due = max(due + interval_s, now)
                    captured_at = datetime.now(UTC)
                    read, image = capture.retrieve()
                    if not read:
                        break
                    with self._changed:
                        self._newest = number, captured_at, image
                        self._changed.notify()
                number += 1
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()
            capture.release()

    def _open(self) -> "VideoCapture":
        prepare_ffmpeg()
        import cv2

        if local := LOCAL.fullmatch(self._address):
            return cv2.VideoCapture(int(local[1]))
        timeout_ms = round(self._timeout_s * 1000)
        timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
        return cv2.VideoCapture(
            opencv_name(self._address),
            cv2.CAP_FFMPEG,
            [value for name in timeouts for value in (name, timeout_ms)],
        )
