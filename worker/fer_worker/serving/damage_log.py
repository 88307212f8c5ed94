"""Says per camera how many of its frames are damaged, and not a line for each."""

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

INTERVAL_S: Final = 60.0
"""A camera has one line in that time at most."""
_MOST_CAMERAS: Final = 1000
"""Remembered; of more, those that were silent longest are forgotten."""

log = logging.getLogger(__name__)


@dataclass
class _Camera:
    frames: int = 0
    damaged: int = 0
    said: float = float("-inf")


class DamageLog:
    """Counts the damaged frames of cameras, for any thread."""

    def __init__(self) -> None:
        self._cameras: OrderedDict[str | None, _Camera] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, camera_id: str | None, frames: int, damages: list[str]) -> None:
        """Count a batch, and say how many frames were damaged since the camera's last line.

        Args:
            camera_id: of the batch; batches without one count together.
            frames: that it had.
            damages: what was wrong with those that are damaged.
        """
        now = time.monotonic()
        with self._lock:
            camera = self._cameras.setdefault(camera_id, _Camera())
            self._cameras.move_to_end(camera_id)
            if len(self._cameras) > _MOST_CAMERAS:
                self._cameras.popitem(last=False)
            camera.frames += frames
            camera.damaged += len(damages)
            if not damages or now - camera.said < INTERVAL_S:
                return
            said = camera.damaged, camera.frames
            camera.frames = camera.damaged = 0
            camera.said = now
        name = "frames without a camera_id" if camera_id is None else f"camera {camera_id!r}"
        log.warning("%s: %d of %d frames were damaged; the last: %s", name, *said, damages[-1])
