r"""How steady the answers are over a clip, with fer's options, the defaults and what lies between.

python -m benchmarks.steadiness CLIP…

Faces of neighbouring frames that overlap are one face. All options look at every frame, one after
the other. The columns:

\b
faces       frames with a face, and faces in all
gaps        faces seen in frames n - 1 and n + 1, but not in n
jump        how much of a face's score lies elsewhere in the next frame, 0 to 1 (total variation):
            the mean, and what 95 % stay under
spread      the same between any two frames of a face: what it has to tell apart
jump/spread 1: as if frames had nothing to do with each other; 0: no jumps at all. An answer that
            is only paler has both less of a jump and less spread, and the same ratio (compare von
            Neumann, "Distribution of the ratio of the mean square successive difference to the
            variance", 1941)
flips       changes of the dominant emotion in 100 steps
confidence  the mean score of the dominant emotion
ms          milliseconds of a core for the emotions of a face
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import click
import numpy as np

from benchmarks.tables import Cells, TextTable
from benchmarks.variants import VARIANTS, Command, Comparison, distance, dominant, machine, matches
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.inference.types import Analysis, Face
from fer_worker.limits import FrameLimits
from fer_worker.tools.media import read_frames

HEADER: Final = (
    *("", "frames", "faces", "gaps", "jump", "p95", "spread", "jump/spread", "flips"),
    *("confidence", "ms"),
)


@dataclass
class Track:
    """One face, in neighbouring frames."""

    faces: list[Face]

    @property
    def jumps(self) -> list[float]:
        """From each frame to the next."""
        return [distance(one, next_one) for one, next_one in pairwise(self.faces)]

    @property
    def flips(self) -> int:
        """Changes of the dominant emotion."""
        names = [dominant(face) for face in self.faces]
        return sum(one != next_one for one, next_one in pairwise(names))

    @property
    def spread(self) -> float:
        """The mean distance of two of its frames."""
        scores = np.array([list(face.emotions.values()) for face in self.faces])
        apart = np.abs(scores[:, None] - scores).sum(axis=-1) / 2
        return float(apart.sum() / max(1, len(scores) * (len(scores) - 1)))


@dataclass
class Steadiness:
    """What one variant says of one clip, frame by frame."""

    tracks: list[Track] = field(default_factory=list)
    frames: int = 0
    gaps: int = 0
    classify_ms: float = 0.0
    _seen: list[Sequence[Face]] = field(default_factory=lambda: [(), ()])
    """The faces of the last two frames."""
    _open: list[Track] = field(default_factory=list)
    """The tracks of the last frame's faces."""

    def add(self, analysis: Analysis) -> None:
        """Take in the next frame."""
        faces = analysis.faces
        before, last = self._seen
        self.frames += bool(faces)
        self.classify_ms += analysis.classify_ms
        self.gaps += len(_same(before, faces).keys() - _same(before, last).keys())
        of = {now: then for then, now in _same(last, faces).items()}
        tracks = []
        for index, face in enumerate(faces):
            if index in of:
                track = self._open[of[index]]
                track.faces.append(face)
            else:
                track = Track([face])
                self.tracks.append(track)
            tracks.append(track)
        self._seen, self._open = [last, faces], tracks

    def row(self, name: str) -> Cells:
        """As a row of the table."""
        jumps = [jump for track in self.tracks for jump in track.jumps]
        faces = [face for track in self.tracks for face in track.faces]
        found = (name, str(self.frames), str(len(faces)), str(self.gaps))
        if not jumps:
            return (*found, *("" for _ in HEADER[len(found) :]))
        jump = float(np.mean(jumps))
        spread = float(
            np.average(
                [track.spread for track in self.tracks],
                weights=[len(track.jumps) for track in self.tracks],
            )
        )
        return (
            *found,
            f"{jump:.3f}",
            f"{np.percentile(jumps, 95):.3f}",
            f"{spread:.3f}",
            f"{jump / spread:.3f}" if spread else "",
            f"{100 * sum(track.flips for track in self.tracks) / len(jumps):.1f}",
            f"{np.mean([max(face.emotions.values()) for face in faces]):.3f}",
            f"{self.classify_ms / len(faces):.2f}",
        )


def _same(ones: Sequence[Face], others: Sequence[Face]) -> dict[int, int]:
    return matches([face.box for face in ones], [face.box for face in others])


def measure(clip: Path) -> Iterator[Cells]:
    """The rows of a clip's table."""
    comparison, limits = Comparison(), FrameLimits()
    seen = {name: Steadiness() for name in VARIANTS}
    for frame in read_frames(clip):
        for name, analysis in comparison.analyze(decode_frame(frame.jpeg, limits).image).items():
            seen[name].add(analysis)
    return (steadiness.row(name) for name, steadiness in seen.items())


@click.command(cls=Command, help=__doc__)
@click.argument("clips", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def main(clips: Iterable[Path]) -> None:
    """Print a table a clip."""
    click.echo(machine())
    for clip in clips:
        click.echo(
            f"\n{clip.name}\n\n" + TextTable(clip.name, HEADER, tuple(measure(clip))).markdown()
        )


if __name__ == "__main__":
    main()
