"""The fer library itself as an engine (extra `[fer]`), made safe for threads.

The one place that imports it. fer's own default is a quantised TFLite model in an interpreter that
all threads share without a lock, which mixes up their faces; this is its float Keras model, the
reference of this project. fer and facenet-pytorch keep no state between calls then: one object
serves all threads, and 4 of them give the serial answers (tests/engine/test_reference.py).
"""

import copy
import logging
import os
import time
import warnings
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fer_client.errors import EngineError
from fer_schemas import Emotion, FaceSelection
from fer_worker.inference.detection import Detection, detections
from fer_worker.inference.mtcnn.pyramid import pyramid_scales
from fer_worker.inference.types import Analysis, EngineOptions, Face

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage


class FerEngine:
    """Implements `Engine` by the fer library.

    Args:
        options: how to look for faces. `crop` has to be `fer`, with one view.

    Raises:
        EngineError: fer is not installed, or cannot do what the options say.
    """

    def __init__(self, options: EngineOptions) -> None:
        if options.crop != "fer":
            raise EngineError(f"the fer engine cannot crop {options.crop!r}: use --compat fer")
        if options.views != 1:
            raise EngineError("the fer engine has one view of a face: use --compat fer")
        self.options = options
        cv2.setNumThreads(1)  # the pool's threads are the parallelism
        self._fer = _load_fer()
        self._mtcnn = self._fer._mtcnn

    def analyze(self, image: "BGRImage", faces: FaceSelection) -> Analysis:
        """Analyse one frame; see `Engine.analyze`. Scores come rounded to two decimals."""
        started = time.perf_counter()
        found = self._detect(image)
        if faces == "first":
            found = found[:1]
        detected = time.perf_counter()
        result = tuple(self._classify(image, found))
        classified = time.perf_counter()
        return Analysis(
            faces=result,
            detect_ms=(detected - started) * 1e3,
            classify_ms=(classified - detected) * 1e3,
        )

    def _detect(self, image: "BGRImage") -> list[Detection]:
        """What `FER.find_faces` does, but for the options and the probabilities it drops."""
        height, width = image.shape[:2]
        least = self.options.min_face_pixels(height, width)
        if not pyramid_scales(height, width, least):
            return []  # facenet-pytorch fails where no face fits
        # `detect` reads the size from its object, and another thread's frame may have another one.
        # A shallow copy has the same networks.
        mtcnn = copy.copy(self._mtcnn)
        mtcnn.min_face_size = least
        if self.options.detector_color == "rgb":
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        corners, probabilities = mtcnn.detect(image)
        if corners is None:
            return []
        return detections(corners, probabilities, self.options.min_face_probability, image.shape)

    def _classify(self, image: "BGRImage", found: list[Detection]) -> list[Face]:
        boxes = [[f.box.x, f.box.y, f.box.width, f.box.height] for f in found]
        results = self._fer.detect_emotions(image, boxes)
        return [
            Face(
                face.box,
                face.probability,
                {Emotion(name): score for name, score in result["emotions"].items()},
            )
            for face, result in zip(found, results, strict=True)
        ]


def _load_fer() -> Any:
    """Import fer in the order that works and undo what the import does to this process."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pkg_resources
            # In this order: tensorflow before facenet-pytorch ends in a segmentation fault.
            import facenet_pytorch  # noqa: F401
            import torch
            from fer.fer import FER
    except ImportError as error:
        raise EngineError(f"{error}: pip install ./client '.[fer]'") from error
    finally:
        root.handlers[:] = handlers  # fer calls logging.basicConfig, absl adds a handler
        root.setLevel(level)
    torch.set_num_threads(1)
    # Keras sees (N, 64, 64) where (N, 64, 64, 1) was declared; it says so at every call.
    warnings.filterwarnings("ignore", message="The structure of `inputs`")
    return FER(mtcnn=True, use_tflite=False)
