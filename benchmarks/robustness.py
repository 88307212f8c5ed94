"""How far answers move when a picture is turned, mirrored, scaled or lit in another way.

python -m benchmarks.robustness FOLDER

The face stays the same and so should the answer. Each set of options finds the faces of each
picture, and then those of the changed pictures. A face counts as found again where a box lies where
the change has put it. Cells: the share of faces found again, and how much of their score lies
elsewhere, 0 to 1 (total variation), on average. Scores are compared for those faces alone that all
options found, in the picture as it is and in the changed one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import Cells, TextTable
from benchmarks.variants import distance, engines, machine, matches
from worker.config import FrameLimits
from worker.inference.engine import Box, Engine, Face
from worker.inference.frames import decode_frame
from worker.media import find_pictures, read_frame

if TYPE_CHECKING:
    from worker.inference.engine import BGRImage

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
    "darker, brighter": [partial(lit, 0.8), partial(lit, 1.2)],
}
"""By the names of the tables' columns."""


@dataclass(frozen=True)
class Seen:
    """What one variant says of one picture and one change of it."""

    faces: Sequence[Face]
    """Those of the picture as it is."""
    again: Mapping[int, Face]
    """The same in the changed picture, where they were found, by their index above."""


def moved(box: Box, to: Affine) -> Box:
    """Where a box comes to lie: its middle moves, its sides are scaled."""
    scale = float(np.sqrt(abs(np.linalg.det(to[:, :2]))))
    x, y = to @ (box.x + box.width / 2, box.y + box.height / 2, 1)
    width, height = box.width * scale, box.height * scale
    return Box(round(x - width / 2), round(y - height / 2), round(width), round(height))


def see(engine: Engine, faces: Sequence[Face], image: "BGRImage", to: Affine) -> Seen:
    """Look for faces again in a changed picture."""
    found = engine.analyze(image, "all").faces
    expected = [moved(face.box, to) for face in faces]
    pairs = matches(expected, [face.box for face in found])
    return Seen(faces, {before: found[after] for before, after in pairs.items()})


def compare(folder: Path) -> Iterator[TextTable]:
    """Measure on the pictures of a folder."""
    compared = engines()
    shares: dict[str, list[str]] = {name: [] for name in compared}
    distances: dict[str, list[str]] = {name: [] for name in compared}
    images = [decode_frame(read_frame(path).jpeg, FrameLimits()) for path in find_pictures([folder])]
    upright = [
        {name: engine.analyze(image, "all").faces for name, engine in compared.items()}
        for image in images
    ]
    counts = {name: sum(len(faces[name]) for faces in upright) for name in compared}
    for changes in CHANGES.values():
        seen = [
            {name: see(engine, faces[name], *changed) for name, engine in compared.items()}
            for image, faces in zip(images, upright, strict=True)
            for changed in (change(image) for change in changes)
        ]
        apart = [pair for one in seen for pair in _of_all(one)]
        for name in compared:
            again = sum(len(one[name].again) for one in seen)
            shares[name].append(f"{100 * again / max(1, counts[name] * len(changes)):.0f} %")
            distances[name].append(f"{np.mean([pair[name] for pair in apart]):.3f}")
    header = ("", "faces", *CHANGES)
    yield TextTable(
        "faces found again", header, tuple((n, str(counts[n]), *shares[n]) for n in compared)
    )
    yield TextTable(
        "how far scores move", ("", *CHANGES), tuple((n, *distances[n]) for n in compared)
    )


def _of_all(seen: Mapping[str, Seen]) -> Iterator[dict[str, float]]:
    """How far scores moved, by variant, for each face that all of them found both times."""
    reference, *others = seen
    for index, face in enumerate(seen[reference].faces):
        pairs = {}
        for name, one in seen.items():
            same = matches([face.box], [other.box for other in one.faces])
            if 0 in same and same[0] in one.again:
                pairs[name] = distance(one.faces[same[0]], one.again[same[0]])
        if len(pairs) == len(seen):
            yield pairs


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Print both tables."""
    click.echo(machine())
    for table in compare(folder):
        click.echo(f"\n{table.title}\n\n{table.markdown()}")


if __name__ == "__main__":
    main()
