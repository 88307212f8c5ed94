"""Write golden.json: what fer itself sees in `examples/frames/`. Needs the extra fer.

python -m tests.engine.make_golden
"""

import hashlib
import json
from typing import Any

import cv2
import numpy as np
from facenet_pytorch import MTCNN  # before fer: the other way round it crashes
from fer.fer import FER
from numpy.typing import NDArray

from fer_client.errors import FrameError
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.limits import FrameLimits
from tests.engine.golden import FRAMES, OWN_GOLDEN, Golden, GoldenFace, read_picture


def main() -> None:
    golden: Golden = {}
    fer = FER(mtcnn=True, use_tflite=False)
    detector = MTCNN(keep_all=True)
    for path in sorted(FRAMES.glob("*.jpg")):
        try:
            decode_frame(path.read_bytes(), FrameLimits())
        except FrameError:
            continue  # one of them is broken on purpose
        image = read_picture(path)
        rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        golden[path.name] = {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "width": image.shape[1],
            "height": image.shape[0],
            "bgr": _faces(fer.detect_emotions(image), detector, image),
            "rgb": _faces(fer.detect_emotions(image, fer.find_faces(rgb)), detector, rgb),
        }
    OWN_GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


def _faces(answers: list[Any], detector: Any, seen: NDArray[np.uint8]) -> list[GoldenFace]:
    """Add the probabilities, which fer drops."""
    corners, probabilities = detector.detect(seen)
    count = 0 if corners is None else len(corners)
    assert len(answers) == count
    return [
        {
            "box": list(answer["box"]),
            "probability": round(float(probabilities[i]), 6),
            "emotions": answer["emotions"],
        }
        for i, answer in enumerate(answers)
    ]


if __name__ == "__main__":
    main()
