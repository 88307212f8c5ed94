"""Which faces are found of those that can be seen: fer's options against the defaults.

python -m benchmarks.detection FOLDER [--known FILE]

FILE says where the faces are: a JSON object of file names, each with a list of boxes [x, y, width,
height] in pixels of the upright picture. known_faces.json has the sample frames and the photographs
that this project was measured on: those boxes of MTCNN on RGB that show a face to a human eye,
which saw no others in the pictures. Pictures that are not named are left out.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from benchmarks.tables import Cells, TextTable
from benchmarks.variants import Command, machine, matches
from fer_client.errors import FerWorkerError
from fer_worker.inference.factory import create_engine
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.inference.types import Box, EngineOptions
from fer_worker.limits import FrameLimits
from fer_worker.tools.media import find_pictures, read_frame

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

KNOWN_FACES: Final = Path(__file__).parent / "known_faces.json"

Known = Mapping[str, Sequence[Box]]
"""Where the faces are, by the names of pictures."""


@dataclass(frozen=True)
class Count:
    """Faces of a picture, against those that are known."""

    found: int
    missed: int
    extra: int

    def __add__(self, other: "Count") -> "Count":
        return Count(self.found + other.found, self.missed + other.missed, self.extra + other.extra)


def read_known(path: Path) -> Known:
    """Known faces, by the names of pictures."""
    names: Mapping[str, Sequence[Sequence[int]]] = json.loads(path.read_text(encoding="utf-8"))
    return {name: [Box(*box) for box in boxes] for name, boxes in names.items()}


def known_pictures(
    folders: Iterable[Path], known: Known
) -> Iterator[tuple[str, "BGRImage", Sequence[Box]]]:
    """Name, BGR picture and faces of the pictures in folders whose faces are known.

    Raises:
        FerWorkerError: there are none.
    """
    folders = list(folders)
    found = dict.fromkeys(path.resolve() for path in find_pictures(folders))  # none twice
    paths = [path for path in found if path.name in known]
    if not paths:
        where = ", ".join(map(str, folders))
        raise FerWorkerError(f"of no picture in {where} the faces are known")
    for path in paths:
        yield path.name, decode_frame(read_frame(path).jpeg, FrameLimits()).image, known[path.name]


known_option = click.option(
    "--known",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=KNOWN_FACES,
    callback=lambda _context, _parameter, path: read_known(path),
    help="Where the faces are.",
)


def count(found: Sequence[Box], known: Sequence[Box]) -> Count:
    """Compare what was found with what is known."""
    right = len(matches(known, found))
    return Count(right, len(known) - right, len(found) - right)


def compare(folder: Path, known: Known) -> Iterator[Cells]:
    """The rows of the table, the sums last."""
    options = (EngineOptions.as_fer(faces="all"), EngineOptions(faces="all"))
    engines = [create_engine(one) for one in options]
    sums = [Count(0, 0, 0) for _ in engines]
    faces = 0
    for name, image, boxes in known_pictures([folder], known):
        counts = [
            count([face.box for face in engine.analyze(image, "all").faces], boxes)
            for engine in engines
        ]
        sums = [before + now for before, now in zip(sums, counts, strict=True)]
        faces += len(boxes)
        yield _row(name, len(boxes), counts)
    yield _row("together", faces, sums)


def _row(name: str, faces: int, counts: Sequence[Count]) -> Cells:
    figures = [figure for one in counts for figure in (one.found, one.missed, one.extra)]
    return (name, *map(str, [faces, *figures]))


@click.command(cls=Command, help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@known_option
def main(folder: Path, known: Known) -> None:
    """Print the table."""
    header = ("", "faces", "fer: found", "missed", "extra", "default: found", "missed", "extra")
    rows = tuple(compare(folder, known))
    click.echo(f"{machine()}\n\n" + TextTable("", header, rows).markdown())


if __name__ == "__main__":
    main()
