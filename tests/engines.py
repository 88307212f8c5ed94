"""Engines for tests: answers that can be told from the picture alone, at once."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fer_client.errors import EngineError
from fer_schemas import Emotion, FaceSelection
from fer_worker.inference.types import Analysis, Box, EngineOptions, Face

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage


def plain_jpeg(width: int, height: int = 40) -> bytes:
    """A grey picture of a size, which is all that `SizeEngine` looks at."""
    return cv2.imencode(".jpg", np.full((height, width, 3), 128, np.uint8))[1].tobytes()


def noisy_jpeg(side: int) -> bytes:
    """A square picture that does not compress: a byte a pixel or more."""
    noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


class SizeEngine:
    """Sees one happy face as large as the whole frame."""

    def __init__(self) -> None:
        self.options = EngineOptions()
        self.analysed = 0
        self.faces_asked: list[FaceSelection] = []

    def analyze(self, image: "BGRImage", faces: FaceSelection) -> Analysis:
        self.analysed += 1
        self.faces_asked.append(faces)
        height, width = image.shape[:2]
        scores = {emotion: 0.9 if emotion is Emotion.HAPPY else 0.0 for emotion in Emotion}
        return Analysis((Face(Box(0, 0, width, height), 0.99, scores),), 1.0, 0.5)


class GatedEngine(SizeEngine):
    """Waits in every frame until the gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()

    def analyze(self, image: "BGRImage", faces: FaceSelection) -> Analysis:
        self.entered.set()
        assert self.gate.wait(60)
        return super().analyze(image, faces)


class BrokenEngine(SizeEngine):
    """Fails as no engine should."""

    def analyze(self, image: "BGRImage", faces: FaceSelection) -> Analysis:
        raise ValueError("a secret of the engine")


ABORTING_HEIGHT = 44
HANGING_HEIGHT = 48
SLOW_HEIGHT = 52
CRASHING_HEIGHT = 56
KILLED_HEIGHT = 60
LEAVING_HEIGHT = 64

KILLING_HEIGHTS = (ABORTING_HEIGHT, CRASHING_HEIGHT, KILLED_HEIGHT, LEAVING_HEIGHT)
"""Each ends its process in another way."""

SLOW_S = 0.1


class DyingEngine(SizeEngine):
    """Dies of every frame but the blank one that warms it up, as with too little memory."""

    def analyze(self, image: "BGRImage", faces: FaceSelection) -> Analysis:
        if image.any():
            os.abort()
        return super().analyze(image, faces)


STARTS = "TEST_ENGINE_STARTS"
"""Variable that names a file: engines that fail to start write a byte to it at each try."""

FAILED_STARTS = 3


class RefusingEngine(SizeEngine):
    """Starts at the fourth try, as where memory is short for a while."""

    def __init__(self) -> None:
        super().__init__()
        with Path(os.environ[STARTS]).open("ab") as starts:
            starts.write(b".")
        if Path(os.environ[STARTS]).stat().st_size <= FAILED_STARTS:
            self.fail()

    def fail(self) -> None:
        raise EngineError("no memory for the model")


class LeavingEngine(RefusingEngine):
    """As `RefusingEngine`, but its process ends with it."""

    def fail(self) -> None:
        os._exit(1)


class UnreadyEngine(SizeEngine):
    """Never has started."""

    def __init__(self) -> None:
        threading.Event().wait()


class FaultyEngine(SizeEngine):
    """Does to its process what the height of a picture says, and else as `SizeEngine`."""

    def analyze(self, image: "BGRImage", faces: FaceSelection) -> Analysis:
        match image.shape[0]:
            case height if height == ABORTING_HEIGHT:
                os.abort()  # as a library that finds its memory corrupt
            case height if height == CRASHING_HEIGHT:
                signal.raise_signal(signal.SIGSEGV)  # as a decoder that writes where it should not
            case height if height == KILLED_HEIGHT:
                signal.raise_signal(signal.SIGKILL)  # as the kernel does to who takes all memory
            case height if height == LEAVING_HEIGHT:
                os._exit(0)  # as a library that thinks the program is its own
            case height if height == HANGING_HEIGHT:
                threading.Event().wait()
            case height if height == SLOW_HEIGHT:
                time.sleep(SLOW_S)
        return super().analyze(image, faces)
