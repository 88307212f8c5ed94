"""The reference: the fer library as its users would tune it. Imports nothing of this project.

python -m benchmarks.fer_library PICTURE      # from nothing to the first answer
"""

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

Heights = tuple[int, ...]
"""Heights in pixels of the faces found in one picture, the largest face first."""


def load(threads: int) -> Callable[[bytes], Heights]:
    """Return a function of a JPEG file that any number of threads may call.

    Tuned: one torch thread for each thread of the pool, OpenCV's own threads off. It is the float
    model, since the library's default, a TFLite one, mixes up the faces of its threads
    (docs/decisions/0004-openvino-engine.md).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    # In this order: tensorflow before facenet-pytorch ends in a segmentation fault.
    import facenet_pytorch  # noqa: F401, I001
    import torch
    from fer.fer import FER

    import cv2
    import numpy as np

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    fer = FER(mtcnn=True, use_tflite=False)

    def analyze(jpeg: bytes) -> Heights:
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        return tuple(int(face["box"][3]) for face in fer.detect_emotions(image))

    return analyze


if __name__ == "__main__":
    print(load(threads=1)(Path(sys.argv[1]).read_bytes()))
