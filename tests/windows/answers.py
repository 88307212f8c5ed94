"""What each compiled kernel sees in pictures, for a comparison of systems: prints JSON.

python tests/windows/answers.py examples/frames
"""

import json
import sys
from pathlib import Path
from typing import Any

from fer_client.errors import EngineError
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.inference.native_engine import NativeEngine
from fer_worker.inference.types import EngineOptions, Face
from fer_worker.limits import FrameLimits

KERNELS = ("avx512_bf16", "avx512", "avx2", "baseline")

LIMITS = FrameLimits(damaged="analyze")


def answers(folder: Path) -> dict[str, dict[str, list[Any]]]:
    """Return faces by kernel that this CPU has, and by picture."""
    found = {}
    for kernel in KERNELS:
        try:
            engine = NativeEngine(EngineOptions(), kernel)
        except EngineError:
            continue
        found[kernel] = {
            path.name: [
                _plain(face)
                for face in engine.analyze(
                    decode_frame(path.read_bytes(), LIMITS).image, "all"
                ).faces
            ]
            for path in sorted(folder.glob("*.jpg"))
        }
    return found


def _plain(face: Face) -> dict[str, Any]:
    box = face.box
    return {
        "box": [box.x, box.y, box.width, box.height],
        "scores": [face.probability, *(face.emotions[name] for name in sorted(face.emotions))],
    }


if __name__ == "__main__":
    print(json.dumps(answers(Path(sys.argv[1]))))
