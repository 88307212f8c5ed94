"""Cameras: of this machine, or streams of the network. They do not wait, so frames are dropped."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fer_client.config import mask_password
from fer_client.errors import FerWorkerError
from fer_worker.tools.media.camera_check import Trouble, find_no_way, find_trouble
from fer_worker.tools.media.clips import opencv_name, prepare_ffmpeg
from fer_worker.tools.media.frames import MediaFrame, encode_jpeg, frame_id, sendable

if TYPE_CHECKING:
    from cv2 import VideoCapture
    from cv2.typing import MatLike

SCHEMES: Final = ("rtsp", "rtsps", "http", "https")

LOCAL: Final = re.compile(r"(?:camera:|/dev/video)?(\d{1,3})", re.ASCII)
"""What a camera of this machine may be called."""

TIMEOUT_S: Final = 10.0
"""How long a camera may take to open, and for its next frame."""

CHECK_TIMEOUT_S: Final = 3.0
"""How long connecting may take, and then what it says if it does not open."""

LOOK_S: Final = 0.1
"""How long `frames` waits for one before it says that there is none."""

LEAVE_S: Final = 1.0
"""How long its thread is awaited; where it takes longer the program ends when it does."""

PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
"""Before it is opened again: at first, and at most. Each pause is twice as long as the last one."""

MAX_RATE: Final = 120
"""Streams that do not know their own rate name that of their clock."""


def camera_address(text: str) -> str | None:
    """Give the address of a camera or stream; None for what names files.

    `/dev/video0` and `0` stand for `camera:0`, unless a file or folder is called `0`.

    Raises:
        FerWorkerError: it is an address of a kind that cannot be read.
    """
    if (local := LOCAL.fullmatch(text)) and not (text.isdecimal() and Path(text).exists()):
        return f"camera:{int(local[1])}"
    scheme, separator, rest = text.partition("://")
    if not separator or not scheme.isalnum():
        return None
    if scheme.lower() not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise FerWorkerError(f"cannot read {mask_password(text)}; only {known} and camera:N")
    return f"{scheme.lower()}://{rest}"


class Camera:
    """A camera that is read as fast as it gives frames; a reader gets the newest one.

    A context manager. A thread owns the camera, so that nobody waits for FFmpeg: it opens it, and
    opens it again, after pauses, whenever it gives no more frames. One that refuses its address
    from the start is not asked again, and neither is a recording that has ended.
    """

    def __init__(
        self,
        address: str,
        fps: float | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Store what is needed.

        Args:
            address: as `camera_address` gives it.
            fps: frames per second at most; as many as are asked for without it.
            timeout_s: how long it may take to open, and for its next frame.
            say: told why there are no frames, and when there are some again, by the thread.
        """
        self.name = sendable(mask_password(address))
        self.trouble = "connecting"
        """Why there are no frames now; empty while there are."""
        self._address = address
        self._fps = fps
        self._timeout_s = timeout_s
        self._say = say
        self._changed = threading.Condition()
        self._left = threading.Event()
        self._ended = False
        self._rate: float | None = None
        self._newest: tuple[int, datetime, MatLike] | None = None
        self._number = 0
        """Of the next frame."""

    def __enter__(self) -> "Camera":
        # No daemon: Python would end it within FFmpeg, and C++ takes that for a fault and aborts.
        self._thread = threading.Thread(target=self._run, name="camera")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join(LEAVE_S)

    def frames(self) -> Iterator[MediaFrame | None]:
        """Give the newest frame, again and again; None where no new one came for a moment.

        Raises:
            FerWorkerError: the camera refuses its address, or its recording has ended.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._ended, LOOK_S)
                taken, self._newest = self._newest, None
            if taken is not None:
                yield self._as_frame(*taken)
            elif self._ended:
                raise FerWorkerError(f"cannot read {self.name}: {self.trouble}")
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

    # What follows runs on the camera's own thread.

    def _run(self) -> None:
        """Open the camera, again and again, until it is left or there is no use."""
        try:
            pause_s = PAUSE_S
            while not self._left.is_set():
                before = self._number
                trouble = self._read()
                has_worked = self._number > before
                # One that has worked earlier may refuse while it restarts.
                if self._left.is_set() or (trouble.is_final and (has_worked or not before)):
                    self.trouble = trouble.reason
                    return
                if trouble.reason != self.trouble:
                    self.trouble = trouble.reason
                    self._say(f"{trouble.reason}; trying again")
                pause_s = PAUSE_S if has_worked else pause_s
                self._left.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def _read(self) -> Trouble:
        """Open the camera and take frames until there are no more; say why."""
        import cv2

        is_local = LOCAL.fullmatch(self._address)
        check_s = min(self._timeout_s, CHECK_TIMEOUT_S)
        if not is_local and (no_way := find_no_way(self._address, check_s)):
            return no_way
        capture = self._open()
        try:
            if not capture.isOpened() and is_local:
                return Trouble("there is no such camera, or another program has it", is_final=True)
            if not capture.isOpened():
                no_video = f"no video within {self._timeout_s:g} s, or none that can be read"
                return find_trouble(self._address, check_s) or Trouble(no_video)
            is_recording = capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
            rate = capture.get(cv2.CAP_PROP_FPS)
            self._rate = self._fps or (rate if 0 < rate <= MAX_RATE else None)
            interval_s = 1 / self._fps if self._fps else 0.0
            due = time.monotonic()
            while not self._left.is_set() and capture.grab():
                now = time.monotonic()
                if now >= due:
                    due = max(due + interval_s, now)
                    captured_at = datetime.now(UTC)
                    read, image = capture.retrieve()
                    if not read:
                        break
                    self._show(captured_at, image)
                self._number += 1
            if is_recording:
                return Trouble("it is a recording, and has ended", is_final=True)
            return Trouble("no more frames")
        finally:
            capture.release()

    def _show(self, captured_at: datetime, image: "MatLike") -> None:
        """Have a frame taken by who reads."""
        with self._changed:
            self._newest = self._number, captured_at, image
            is_back, self.trouble = bool(self.trouble and self._number), ""
            self._changed.notify()
        if is_back:
            self._say("frames again")

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
