"""Which faces are found that a person sees: fer's options against the defaults.

python -m benchmarks.detection FOLDER [--known FILE]

FILE says where the faces are: a JSON object of file names, each with a list of boxes [x, y, width,
height] in pixels of the upright picture. known_faces.json has the sample frames and the photographs
that this project was measured on. Its boxes are those of MTCNN on RGB that a person took for a face;
a person looking over the pictures saw no others. Pictures it does not name are left out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from benchmarks.tables import Cells, TextTable
from benchmarks.variants import machine, matches
from worker.config import FrameLimits
from worker.errors import FerWorkerError
from worker.inference.engine import Box, EngineOptions, create_engine
from worker.inference.frames import decode_frame
from worker.media import find_pictures, read_frame

KNOWN_FACES: Final = Path(__file__).parent / "known_faces.json"


@dataclass(frozen=True)
class Count:
    """Faces of a picture, against those that are known."""

    found: int
    missed: int
    extra: int

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.found + other.found, self.missed + other.missed, self.extra + other.extra
        )


def read_known(path: Path) -> dict[str, list[Box]]:
    """Known faces, by the names of pictures."""
    names: Mapping[str, Sequence[Sequence[int]]] = json.loads(path.read_text(encoding="utf-8"))
    return {name: [Box(*box) for box in boxes] for name, boxes in names.items()}


def count(found: Sequence[Box], known: Sequence[Box]) -> Count:
    """Compare what was found with what is known."""
    right = len(matches(known, found))
    return Count(right, len(known) - right, len(found) - right)


def compare(folder: Path, known: Mapping[str, Sequence[Box]]) -> Iterator[Cells]:
    """The rows of the table, the sums last.

    Raises:
        FerWorkerError: no picture of the folder is known.
    """
    options = (EngineOptions.as_fer(faces="all"), EngineOptions(faces="all"))
    engines = [create_engine(one, threads=1) for one in options]
    sums = [Count(0, 0, 0) for _ in engines]
    faces = 0
    pictures = [path for path in find_pictures([folder]) if path.name in known]
    if not pictures:
        raise FerWorkerError(f"no picture in {folder} has known faces")
    for path in pictures:
        image = decode_frame(read_frame(path).jpeg, FrameLimits())
        expected = known[path.name]
        counts = [
            count([face.box for face in engine.analyze(image, "all").faces], expected)
            for engine in engines
        ]
        sums = [before + now for before, now in zip(sums, counts, strict=True)]
        faces += len(expected)
        yield _row(path.name, len(expected), counts)
    yield _row("together", faces, sums)


def _row(name: str, faces: int, counts: Sequence[Count]) -> Cells:
    figures = [figure for one in counts for figure in (one.found, one.missed, one.extra)]
    return (name, *map(str, [faces, *figures]))


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--known",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=KNOWN_FACES,
    help="Where the faces are.",
)
def main(folder: Path, known: Path) -> None:
    """Print the table."""
    header = ("", "faces", "fer: found", "missed", "extra", "default: found", "missed", "extra")
    rows = tuple(compare(folder, read_known(known)))
    click.echo(f"{machine()}\n\n" + TextTable("", header, rows).markdown())


if __name__ == "__main__":
    main()
