"""The default engine: fer's networks as compiled code, without fer and its libraries.

Under `EngineOptions.as_fer` boxes are fer's own and scores within its rounding (tests/engine).
"""

import time
from typing import TYPE_CHECKING

import cv2

from fer_client.errors import EngineError
from fer_schemas import FaceSelection
from fer_worker.inference import weights
from fer_worker.inference.allocator import keep_freed_memory
from fer_worker.inference.detection import Detection, detections
from fer_worker.inference.emotion import classify_faces
from fer_worker.inference.mtcnn.detector import detect_faces
from fer_worker.inference.mtcnn.largest_first import detect_largest_face
from fer_worker.inference.mtcnn.pyramid import CELL
from fer_worker.inference.native.kernels import choose_kernel
from fer_worker.inference.native.library import Library
from fer_worker.inference.native.operations import NativeOps
from fer_worker.inference.types import Analysis, EngineOptions, Face

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage


class NativeEngine:
    """Implements `Engine`, in f32; bf16 only passes over what is far from being a face.

    Threads share it: it keeps nothing but weights.

    Args:
        options: how to look for faces.
        kernel: which code computes; by default as `choose_kernel` says.

    Raises:
        EngineError: the weights are missing or damaged; faces under 12 pixels are asked for;
            the compiled code is missing, or has no such kernel for this CPU.
    """

    def __init__(self, options: EngineOptions, kernel: str | None = None) -> None:
        if isinstance(options.min_face_size, int) and options.min_face_size < CELL:
            raise EngineError(f"the detector sees no faces under {CELL} pixels")
        self.options = options
        cv2.setNumThreads(1)  # the pool's threads are the parallelism
        keep_freed_memory()
        library = Library(kernel or choose_kernel())
        try:
            self.ops = NativeOps(library, weights.read_weights(weights.FILE))
        except (KeyError, ValueError) as error:
            raise EngineError(f"the weights {weights.FILE} do not fit: {error}") from error

    def analyze(self, image: "BGRImage", faces: FaceSelection) -> Analysis:
        """Analyse one frame; see `Engine.analyze`."""
        started = time.perf_counter()
        found = self.detect(image, faces)
        detected = time.perf_counter()
        result = self.classify(image, found)
        classified = time.perf_counter()
        return Analysis(
            faces=result,
            detect_ms=(detected - started) * 1e3,
            classify_ms=(classified - detected) * 1e3,
        )

    def detect(self, image: "BGRImage", which: FaceSelection) -> list[Detection]:
        """Find the first face of a frame, or all, largest first."""
        options = self.options
        least = options.min_face_pixels(*image.shape[:2])
        if options.detector_color == "rgb":
            image = image[:, :, ::-1]
        detect = {"first": detect_largest_face, "all": detect_faces}[which]
        faces = detect(image, self.ops, least, options.min_face_probability)
        return detections(
            faces.boxes,
            faces.scores,
            options.min_face_probability,
            image.shape,
            faces.landmarks,
        )

    def classify(self, image: "BGRImage", found: list[Detection]) -> tuple[Face, ...]:
        """Recognise the emotions of faces, in the order given."""
        options = self.options
        emotions = classify_faces(image, found, self.ops.emotions, options.crop, options.views)
        return tuple(
            Face(face.box, face.probability, scores)
            for face, scores in zip(found, emotions, strict=True)
        )
