"""Labelled pictures for tests, in the layouts of well-known data sets."""

import csv
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_schemas import Emotion
from tests.frames import sample

SAMPLE_LABELS = {
    "burst-1": "happy",
    "burst-2": "happy",
    "burst-4": "Happiness",
    "burst-6": "angry",
    "grace_hopper": "neutral",
    "no_face": "neutral",
}
"""Labels for some of the sample frames, in several spellings. Not all are right."""


def folders(root: Path, labels: dict[str, str]) -> Path:
    """A folder a label, with the sample frames that have it."""
    for name, label in labels.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        (root / label / f"{name}.jpg").write_bytes(sample(name))
    return root


def grey(name: str) -> NDArray[np.uint8]:
    """The face of a sample frame as FER2013 has faces: 48x48, grey."""
    frame = cv2.imdecode(np.frombuffer(sample(name), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert frame is not None
    left, top, side = {"burst-4": (130, 80, 300), "grace_hopper": (124, 90, 280)}[name]
    face = frame[top : top + side, left : left + side]
    return np.asarray(cv2.resize(face, (48, 48), interpolation=cv2.INTER_AREA), np.uint8)


Row = tuple[Emotion, NDArray[np.uint8], str]
"""Of fer2013.csv: emotion, 48x48 pixels, usage."""


def write_table(path: Path, rows: Iterable[Row]) -> Path:
    """A file as fer2013.csv."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        for emotion, pixels, usage in rows:
            number = list(Emotion).index(emotion)
            writer.writerow([number, " ".join(map(str, pixels.ravel())), usage])
    return path
