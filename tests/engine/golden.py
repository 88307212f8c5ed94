"""fer's own answers on photographs, and the comparison of an engine's answers with them.

A golden file maps the name of a photograph to `GoldenFrame`. Its answers are those of fer 25.10.3
(float Keras model) with facenet-pytorch 2.5.3: `bgr` as the library has them, `rgb` with its MTCNN
shown the RGB picture and the boxes handed to it. Largest face first; scores have two decimals.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TypedDict

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fer_worker.inference.types import Engine, Face

FRAMES = Path(__file__).parents[2] / "examples" / "frames"
OWN_GOLDEN = Path(__file__).parent / "golden.json"

SCORE_TOLERANCE = 0.006
"""Golden scores are rounded to 0.01, so 0.005 of it is theirs."""


Color = Literal["bgr", "rgb"]


class GoldenFace(TypedDict):
    """One face."""

    box: list[int]
    """x, y, width, height in pixels."""
    probability: float
    emotions: dict[str, float]


class GoldenFrame(TypedDict):
    """One photograph."""

    sha256: str
    width: int
    height: int
    bgr: list[GoldenFace]
    rgb: list[GoldenFace]


Golden = dict[str, GoldenFrame]


def read_golden(path: Path) -> Golden:
    golden: Golden = json.loads(path.read_text())
    return golden


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG as it was for the golden answers: BGR, upright."""
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None, path
    return np.asarray(image, dtype=np.uint8)


def pictures(golden: Golden, folder: Path) -> Iterator[tuple[str, NDArray[np.uint8], GoldenFrame]]:
    """Names, BGR pictures and answers of a golden file."""
    for name, frame in golden.items():
        path = folder / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == frame["sha256"], path
        image = read_picture(path)
        assert image.shape == (frame["height"], frame["width"], 3), path
        yield name, image, frame


def assert_golden_answers(
    engine: Engine, color: Color, golden: Golden, folder: Path, subtests: pytest.Subtests
) -> None:
    """The engine's answers for all pictures of a golden file are those that it has."""
    for name, image, frame in pictures(golden, folder):
        with subtests.test(photo=name):
            assert_same_faces(engine.analyze(image, "all").faces, frame[color])


def boxes_of(faces: Sequence[Face]) -> list[list[int]]:
    return [[face.box.x, face.box.y, face.box.width, face.box.height] for face in faces]


def assert_same_faces(faces: Sequence[Face], golden: Sequence[GoldenFace]) -> None:
    """The same faces in the same order: boxes to the pixel, scores within the rounding."""
    assert boxes_of(faces) == [face["box"] for face in golden]
    for face, expected in zip(faces, golden, strict=True):
        assert abs(face.probability - expected["probability"]) < 1e-5
        scores = {emotion.value: score for emotion, score in face.emotions.items()}
        assert scores.keys() == expected["emotions"].keys()
        worst = max(abs(scores[name] - score) for name, score in expected["emotions"].items())
        assert worst < SCORE_TOLERANCE, (face, expected)
