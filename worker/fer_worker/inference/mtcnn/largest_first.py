"""The largest face of a picture, without looking everywhere: the first of `detect_faces`.

A face of 250 px is seen by cells of about 120 to 300 px, on levels that together hold a fiftieth of
the pyramid's pixels. So the search goes from the coarsest level down until it has a face, and then
has to know two things of the levels it did not look at.

**Nothing finer can win.** On its way from P-Net's cell to O-Net's box a face grows, by two
regressions, to at most `_GROWTH` times the cell's side. Levels are searched whole as long as their
cells could grow beyond the largest face found so far. *Assumption:* the bound. Measured on all
photographs and clips it is 1.96.

**Nothing finer can take it away.** A face can still be suppressed by a surer one, however small,
that lies inside it (the last suppression measures overlap by the smaller area). Therefore the
finer levels are searched too, but only around the face: in the box that spans it and all boxes that
O-Net believes in and that are at least as large, suppressed or not, since a box that is free when
its suppressor falls is one of them. *Assumption:* what has its cell outside that region, one cell
around it included, reaches no face in it: a suppressor shares 70 % of its area with the face.

If a face does fall to one inside it (a picture within a face, say), the picture gets the whole
cascade. `tests/engine/test_largest.py` compares with the whole cascade on photographs, clips and
pasted scenes with faces inside and over each other; it fails where an assumption does.

O-Net is most of the work on a coarse level, so it is asked only about candidates that could grow
beyond the largest face (`_OUTPUT_GROWTH`, measured 1.3) or lie in the region.
"""

from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.boxes import Floats, Indices, Mask, areas
from fer_worker.inference.mtcnn.cascade import Cascade
from fer_worker.inference.mtcnn.detector import detect_faces
from fer_worker.inference.mtcnn.operations import DetectorOps, FoundFaces
from fer_worker.inference.mtcnn.proposals import propose
from fer_worker.inference.mtcnn.pyramid import CELL, Picture, pyramid_scales

_GROWTH: Final = 2.2
"""A face's side is at most this many times its cell's."""
_OUTPUT_GROWTH: Final = 1.4
"""A face's side is at most this many times the side of what O-Net was shown."""
_COARSE_SIDE: Final = 100
"""Levels whose shorter side has fewer pixels cost next to nothing and are searched in one go."""


def detect_largest_face(
    image: NDArray[np.uint8],
    ops: DetectorOps,
    min_face_size: int,
    min_probability: float = 0.0,
) -> FoundFaces:
    """Find the first of the faces that `detect_faces` finds, given the same; at most one."""
    picture = Picture(image)
    shorter = min(picture.height, picture.width)
    cascade = Cascade(picture, ops, min_probability)
    levels = deque(reversed(pyramid_scales(picture.height, picture.width, min_face_size)))
    largest: _Largest | None = None

    while levels and (largest is None or largest.side < CELL / levels[0] * _GROWTH):
        coarse = list(takewhile(lambda scale: scale * shorter < _COARSE_SIDE, levels))
        scales = [levels.popleft() for _ in range(max(1, len(coarse)))]
        cascade.add(propose(picture, ops, scales[::-1]))
        largest = _settle(cascade)

    if largest is None:
        return cascade.found(np.empty(0, np.int64))
    if levels:
        cascade.add(propose(picture, ops, list(reversed(levels)), largest.region))
        if _settle(cascade) != largest:
            return detect_faces(image, ops, min_face_size, min_probability)[:1]
    return largest.face


@dataclass(frozen=True)
class _Largest:
    """The largest of the faces known so far, and where it could still be suppressed."""

    face: FoundFaces
    """It alone."""
    region: Floats
    """(4,) x1, y1, x2, y2: what spans all boxes that are at least as large."""

    @property
    def side(self) -> float:
        """Of a square of its area."""
        return float(np.sqrt(areas(self.face.boxes)[0]))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Largest)
            and np.array_equal(self.face.boxes, other.face.boxes)
            and np.array_equal(self.region, other.region)
        )


def _settle(cascade: Cascade) -> _Largest | None:
    """Ask O-Net until no candidate that it has not seen can change the largest face."""
    refined = cascade.refine()
    while True:
        largest = _largest(cascade, refined)
        waiting = refined[np.isnan(cascade.known["face_score"][refined])]
        if not len(waiting):
            return largest
        asked = waiting[_matter(cascade.known["refined"][waiting], largest)]
        if not len(asked):
            return largest
        cascade.output(asked)


def _largest(cascade: Cascade, refined: Indices) -> _Largest | None:
    """The largest face of those that O-Net has seen."""
    accepted = cascade.accepted(refined)
    if not len(accepted):
        return None
    face = cascade.found(cascade.faces(accepted)[:1])
    if not len(face):
        return None
    boxes = cascade.known["face"][accepted]
    rivals = boxes[areas(boxes) >= areas(face.boxes)]
    region = np.hstack([rivals[:, :2].min(axis=0), rivals[:, 2:].max(axis=0)])
    return _Largest(face, region)


def _matter(boxes: Floats, largest: _Largest | None) -> Mask:
    """Which candidates could be larger than the largest face, or take it away."""
    sides = boxes[:, 2] - boxes[:, 0]
    if largest is None:
        # First those at least half as wide as the widest.
        matter: Mask = sides * 2 >= sides.max()
        return matter
    x1, y1, x2, y2 = largest.region
    matter = (boxes[:, 0] < x2) & (boxes[:, 2] > x1) & (boxes[:, 1] < y2) & (boxes[:, 3] > y1)
    matter |= sides * _OUTPUT_GROWTH > largest.side
    return matter
