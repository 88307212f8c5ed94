"""The repository's own sample frames."""

from pathlib import Path

import cv2
import numpy as np

FOLDER = Path(__file__).parents[1] / "examples" / "frames"

PICTURES = sorted(FOLDER.glob("*.jpg"))
"""All of them, the broken one too."""


def sample(name: str) -> bytes:
    """One of them, by its name without suffix."""
    return (FOLDER / f"{name}.jpg").read_bytes()


def tiled(name: str, columns: int, rows: int) -> bytes:
    """One of them as a JPEG in which it is there many times, half as large."""
    image = cv2.imread(str(FOLDER / f"{name}.jpg"), cv2.IMREAD_REDUCED_COLOR_2)
    assert image is not None
    return cv2.imencode(".jpg", np.tile(image, (rows, columns, 1)))[1].tobytes()
