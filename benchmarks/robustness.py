"""How far answers move when a picture is turned, mirrored, scaled or lit in another way.

python -m benchmarks.robustness FOLDER [--known FILE]

The face stays the same and so should the answer. FILE says where the faces are, as for
benchmarks.detection. The tables: how many of them are found, on average where there are two such
changes (turned to the left and to the right); and how much of a face's score lies elsewhere than in
the picture as it is, 0 to 1 (total variation). The latter is of those faces alone that all options
find, before and after.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.detection import Known, known_option, known_pictures
from benchmarks.tables import TextTable
from benchmarks.variants import VARIANTS, Command, Comparison, distance, machine, matches
from fer_worker.inference.types import Box, Face

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

Affine = NDArray[np.float64]
"""(2, 3): from a point of the picture to one of the changed picture."""

Change = Callable[["BGRImage"], tuple["BGRImage", Affine]]
"""Makes the changed picture, and says where its points come to lie."""


def turned(degrees: float, image: "BGRImage") -> tuple["BGRImage", Affine]:
    """Turn clockwise, on a canvas that holds all of it."""
    height, width = image.shape[:2]
    to = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1).astype(np.float64)
    columns, rows = (np.abs(to[:, :2]) @ (width, height)).round().astype(int).tolist()
    to[:, 2] += (columns - width) / 2, (rows - height) / 2
    return _array(cv2.warpAffine(image, to, (columns, rows), flags=cv2.INTER_CUBIC)), to


def mirrored(image: "BGRImage") -> tuple["BGRImage", Affine]:
    """Swap left and right."""
    return image[:, ::-1].copy(), np.array([[-1.0, 0, image.shape[1]], [0, 1, 0]])


def scaled(by: float, image: "BGRImage") -> tuple["BGRImage", Affine]:
    """Make smaller or larger."""
    method = cv2.INTER_AREA if by < 1 else cv2.INTER_CUBIC
    changed = _array(cv2.resize(image, None, fx=by, fy=by, interpolation=method))
    return changed, np.array([[by, 0.0, 0], [0, by, 0]])


def lit(by: float, image: "BGRImage") -> tuple["BGRImage", Affine]:
    """Multiply all values."""
    return _array(cv2.convertScaleAbs(image, alpha=by)), np.eye(2, 3)


def _array(image: object) -> "BGRImage":
    return np.asarray(image, dtype=np.uint8)


CHANGES: Final[Mapping[str, Sequence[Change]]] = {
    **{f"turned {d}°": [partial(turned, -d), partial(turned, d)] for d in (5, 10, 15, 20, 30)},
    "mirrored": [mirrored],
    **{f"scaled {by}": [partial(scaled, by)] for by in (0.5, 0.75, 1.5)},
    "light ±20 %": [partial(lit, 0.8), partial(lit, 1.2)],
}
"""By the names of the tables' columns."""

Found = Mapping[str, Mapping[int, Face]]
"""By variant: which of the known faces it finds, and what it says of them."""


@dataclass
class RunStats:
    """What all variants make of one kind of change."""

    found: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VARIANTS, 0))
    distances: list[dict[str, float]] = field(default_factory=list)
    """Of each face that all variants find before and after: how far its scores move."""

    def add(self, before: Found, after: Found) -> None:
        """Take in one changed picture."""
        for name, faces in after.items():
            self.found[name] += len(faces)
        for face in set.intersection(
            *(set(faces) for one in (before, after) for faces in one.values())
        ):
            self.distances.append(
                {name: distance(before[name][face], after[name][face]) for name in VARIANTS}
            )

    def moved(self, name: str) -> str:
        """How far a variant's scores move on average."""
        return f"{np.mean([each[name] for each in self.distances]):.3f}" if self.distances else ""


def moved(box: Box, to: Affine) -> Box:
    """Where a box comes to lie: its middle moves, its sides are scaled."""
    scale = float(np.sqrt(abs(np.linalg.det(to[:, :2]))))
    x, y = to @ (box.x + box.width / 2, box.y + box.height / 2, 1)
    width, height = box.width * scale, box.height * scale
    return Box(round(x - width / 2), round(y - height / 2), round(width), round(height))


def find(comparison: Comparison, image: "BGRImage", known: Sequence[Box]) -> Found:
    """Look for known faces in a picture."""
    results = {}
    for name, analysis in comparison.analyze(image).items():
        pairs = matches(known, [face.box for face in analysis.faces])
        results[name] = {index: analysis.faces[found] for index, found in pairs.items()}
    return results


def compare(folder: Path, known: Known) -> Iterator[TextTable]:
    """Measure on those pictures of a folder whose faces are known."""
    comparison = Comparison()
    as_it_is = RunStats()
    tallies = {name: RunStats() for name in CHANGES}
    faces = 0
    for _, image, boxes in known_pictures([folder], known):
        before = find(comparison, image, boxes)
        as_it_is.add(before, before)
        faces += len(boxes)
        for name, changes in CHANGES.items():
            for changed, to in (change(image) for change in changes):
                places = [moved(box, to) for box in boxes]
                tallies[name].add(before, find(comparison, changed, places))

    times = {name: len(changes) for name, changes in CHANGES.items()}
    yield TextTable(
        f"of {faces} known faces are found",
        ("", "as it is", *CHANGES),
        tuple(
            (
                variant,
                str(as_it_is.found[variant]),
                *(f"{tally.found[variant] / times[name]:g}" for name, tally in tallies.items()),
            )
            for variant in VARIANTS
        ),
    )
    yield TextTable(
        "how much of a score lies elsewhere",
        ("", *CHANGES),
        (
            *(
                (variant, *(tally.moved(variant) for tally in tallies.values()))
                for variant in VARIANTS
            ),
            ("faces compared", *(str(len(tally.distances)) for tally in tallies.values())),
        ),
    )


@click.command(cls=Command, help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@known_option
def main(folder: Path, known: Known) -> None:
    """Print both tables."""
    click.echo(machine())
    for table in compare(folder, known):
        click.echo(f"\n{table.title}\n\n{table.markdown()}")


if __name__ == "__main__":
    main()
