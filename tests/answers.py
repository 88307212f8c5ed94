"""What the engine says of frames, as JSON: to be run by another machine's Python as well.

python answers.py FOLDER
"""

import json
import sys
from pathlib import Path

from fer_client.errors import FrameError
from fer_worker.inference.factory import create_engine
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.inference.types import EngineOptions
from fer_worker.limits import FrameLimits

OPTIONS = {"default": EngineOptions(), "as fer": EngineOptions.as_fer()}


def main(folder: Path) -> None:
    """Print a list of faces per set of options, choice of faces, and frame."""
    answers = {}
    for label, options in OPTIONS.items():
        engine = create_engine(options)
        for path in sorted(folder.glob("*.jpg")):
            try:
                image = decode_frame(path.read_bytes(), FrameLimits()).image
            except FrameError:
                continue
            for choice in ("first", "all"):
                answers[f"{label}, {choice}, {path.name}"] = [
                    {
                        "box": [face.box.x, face.box.y, face.box.width, face.box.height],
                        "probability": face.probability,
                        "scores": list(face.emotions.values()),
                    }
                    for face in engine.analyze(image, choice).faces
                ]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
