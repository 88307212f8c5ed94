"""What a lower threshold for large faces finds, and what it takes for faces.

python -m benchmarks.large_faces FOLDER [--known FILE]

A face is large that has 30 % of its frame's shorter side. FILE says where the faces are, as for
benchmarks.detection. Two questions:

- How many parts of pictures without a known face have a large one all the same? They are squares
  cut out at random from what lies beside the known faces, scaled to 192 x 192 pixels.
- How many known faces are found in close-ups: cut out with a margin, scaled alike, and changed?
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import cv2
import numpy as np

from benchmarks.detection import Known, known_option, known_pictures
from benchmarks.robustness import lit, turned
from benchmarks.tables import Cells, TextTable
from benchmarks.variants import Command, machine
from fer_worker.inference.mtcnn.boxes import LARGE_ALLOWANCE, LARGE_SHARE
from fer_worker.inference.native_engine import NativeEngine
from fer_worker.inference.types import Box, EngineOptions

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

SIDE: Final = 192
"""Of FER2013's pictures, enlarged so that small faces are found."""
SQUARES: Final = 400
"""Of each picture, at most: those with a part of a known face do not count."""
MARGIN: Final = 0.2
LEAST_SIDE: Final = 30
"""Of a known face, in pixels: smaller ones make no close-up."""
THRESHOLDS: Final = (0.9, 0.8, 0.7)


def _blurred(image: "BGRImage") -> "BGRImage":
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 4), np.uint8)


def _compressed(image: "BGRImage") -> "BGRImage":
    jpeg = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 10))[1]
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)


CHANGES: Final[Mapping[str, Callable[["BGRImage"], "BGRImage"]]] = {
    "as it is": lambda image: image,
    "dark": lambda image: lit(0.35, image)[0],
    "blurred": _blurred,
    "compressed": _compressed,
    "turned 30°": lambda image: turned(30, image)[0],
}


def probabilities(engine: NativeEngine, image: "BGRImage") -> list[float]:
    """How sure the detector is of each large face."""
    least = LARGE_SHARE * min(image.shape[:2])
    faces = engine.detect(image, "all")
    return [face.probability for face in faces if max(face.box.width, face.box.height) >= least]


def squares_beside(image: "BGRImage", faces: Sequence[Box]) -> Iterator["BGRImage"]:
    """Random squares of a picture without a part of a face."""
    chance = np.random.default_rng(0)
    height, width = image.shape[:2]
    for _ in range(SQUARES):
        side = int(chance.integers(60, max(61, min(height, width) // 2)))
        if side > min(height, width):
            return
        x, y = int(chance.integers(0, width - side + 1)), int(chance.integers(0, height - side + 1))
        if not any(
            x < face.x + face.width + 10
            and face.x - 10 < x + side
            and y < face.y + face.height + 10
            and face.y - 10 < y + side
            for face in faces
        ):
            yield _scaled(image[y : y + side, x : x + side])


def close_up(image: "BGRImage", face: Box) -> "BGRImage":
    """A face with a margin around it."""
    half = round(max(face.width, face.height) * (0.5 + MARGIN))
    x, y = face.x + face.width // 2, face.y + face.height // 2
    return _scaled(image[max(0, y - half) : y + half, max(0, x - half) : x + half])


def _scaled(image: "BGRImage") -> "BGRImage":
    return np.asarray(cv2.resize(image, (SIDE, SIDE)), np.uint8)


def compare(folder: Path, known: Known) -> TextTable:
    """Measure on those pictures of a folder whose faces are known."""
    # The allowance is taken from the threshold: with 0 everything is shown.
    engine = NativeEngine(EngineOptions(faces="all", min_face_probability=0.0, min_face_size=40))
    extras: list[list[float]] = []
    found: dict[str, list[list[float]]] = {name: [] for name in CHANGES}
    for _, image, boxes in known_pictures([folder], known):
        extras += [probabilities(engine, square) for square in squares_beside(image, boxes)]
        for face in boxes:
            if max(face.width, face.height) >= LEAST_SIDE:
                shown = close_up(image, face)
                for name, change in CHANGES.items():
                    found[name].append(probabilities(engine, change(shown)))
    return TextTable(
        "squares and close-ups with a large face, by the least probability",
        ("", "pictures", *map(str, THRESHOLDS)),
        (
            _row("squares without a face", extras),
            *(_row(f"close-ups, {name}", seen) for name, seen in found.items()),
        ),
    )


def _row(name: str, seen: Sequence[Sequence[float]]) -> Cells:
    counts = (sum(max(one, default=0) >= least for one in seen) for least in THRESHOLDS)
    return (name, str(len(seen)), *map(str, counts))


@click.command(cls=Command, help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@known_option
def main(folder: Path, known: Known) -> None:
    """Print the table."""
    click.echo(machine())
    table = compare(folder, known)
    click.echo(f"\n{table.title}; large faces may be {LARGE_ALLOWANCE} under it by default\n")
    click.echo(table.markdown())


if __name__ == "__main__":
    main()
