"""What the engine says of frames, as JSON: to be run by another system's Python as well.

python tests/answers.py FOLDER KERNEL...
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from fer_client.errors import EngineError, FrameError
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.inference.native_engine import NativeEngine
from fer_worker.inference.types import EngineOptions, Face
from fer_worker.limits import FrameLimits

Answers = dict[str, list[dict[str, Any]]]
"""Faces by kernel, options, choice of faces, and frame."""

OPTIONS = {"default": EngineOptions(), "as fer": EngineOptions.as_fer()}
FOLDER = Path(__file__).parents[1] / "examples" / "frames"


def answers_of(python: str, kernels: list[str]) -> Answers:
    """What another Python answers."""
    command = [python, __file__, str(FOLDER), *kernels]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: Answers = json.loads(done.stdout)
    return found


def answers(folder: Path, kernels: list[str]) -> Answers:
    """Analyse the pictures of a folder, with each of the kernels that this CPU has."""
    found: Answers = {}
    for kernel in kernels:
        for label, options in OPTIONS.items():
            try:
                engine = NativeEngine(options, kernel)
            except EngineError:
                continue
            for path in sorted(folder.glob("*.jpg")):
                try:
                    image = decode_frame(path.read_bytes(), FrameLimits()).image
                except FrameError:
                    continue
                for choice in ("first", "all"):
                    found[f"{kernel}, {label}, {choice}, {path.name}"] = [
                        _plain(face) for face in engine.analyze(image, choice).faces
                    ]
    return found


def _plain(face: Face) -> dict[str, Any]:
    box = face.box
    return {
        "box": [box.x, box.y, box.width, box.height],
        "probability": face.probability,
        "scores": list(face.emotions.values()),
    }


if __name__ == "__main__":
    json.dump(answers(Path(sys.argv[1]), sys.argv[2:]), sys.stdout)
