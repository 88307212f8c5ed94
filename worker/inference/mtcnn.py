"""The MTCNN face detector: facenet-pytorch 2.5.3's cascade, written out in numpy.

Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks"
(2016): P-Net scores every cell of a pyramid of pictures, R-Net and O-Net score what is left. Held
to facenet-pytorch's own results box for box, so the arithmetic stays in float32 and in its order.
Knows no inference library: the three networks are functions.

Boxes here are (N, 4) float32 corners x1, y1, x2, y2 in pixels of the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from worker.inference.pyramid import CELL, AreaResizer, pyramid_scales
from worker.inference.suppression import suppress_by_minimum, suppress_by_union

Floats = NDArray[np.float32]

PROPOSAL_THRESHOLD: Final = 0.6
REFINE_THRESHOLD: Final = 0.7
OUTPUT_THRESHOLD: Final = 0.7
_STRIDE = 2
"""Pixels from one cell of P-Net to the next."""
_BATCH = 512
"""Candidates shown to R-Net or O-Net at once, as in facenet-pytorch: a bound on memory."""


class Network(Protocol):
    """One of the three networks."""

    def __call__(self, pictures: Floats, /) -> Sequence[Floats]:
        """Score pictures.

        Args:
            pictures: (N, 3, H, W), about -1 to 1. R-Net takes 24x24, O-Net 48x48, P-Net any size.

        Returns:
            Probabilities (N, 2), no face and face, and box regressions (N, 4), both float32. From
            P-Net they are maps: (N, 2, h, w) and (N, 4, h, w), one value a cell.
        """
        ...


@dataclass(frozen=True)
class Networks:
    """The cascade's three networks."""

    proposal: Network
    refine: Network
    output: Network


@dataclass(frozen=True)
class Candidates:
    """Boxes on their way through the cascade: (N, 4) and their scores (N,), float32."""

    boxes: Floats
    scores: Floats

    def __post_init__(self) -> None:
        assert self.boxes.shape == (len(self.scores), 4), (self.boxes.shape, self.scores.shape)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, picked: NDArray[np.int64] | NDArray[np.bool_]) -> "Candidates":
        return Candidates(self.boxes[picked], self.scores[picked])


def detect_faces(image: NDArray[np.uint8], networks: Networks, min_face_size: int) -> Candidates:
    """Find the faces of one picture.

    Args:
        image: (height, width, 3) uint8. The networks were trained on RGB; fer hands over BGR.
        networks: the three networks.
        min_face_size: side in pixels of the smallest face looked for.

    Returns:
        Faces, the largest area first. They may reach over the edges of the picture.
    """
    resizer = AreaResizer(image)
    candidates = _propose(resizer, networks.proposal, min_face_size)
    candidates = _refine(resizer, networks.refine, candidates)
    faces = _output(resizer, networks.output, candidates)
    sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
    return faces[np.argsort(sides[:, 0] * sides[:, 1])[::-1]]


def _propose(resizer: AreaResizer, network: Network, min_face_size: int) -> Candidates:
    """First stage: cells of the pyramid that look like a face, made square."""
    levels = [
        _propose_level(resizer, network, scale)
        for scale in pyramid_scales(resizer.height, resizer.width, min_face_size)
    ]
    if not levels:
        return _no_candidates()
    cells, scores, regressions = (np.concatenate(part) for part in zip(*levels, strict=True))
    kept = suppress_by_union(cells, scores, 0.7)
    cells, scores, regressions = cells[kept], scores[kept], regressions[kept]
    sides = cells[:, 2:] - cells[:, :2]
    return Candidates(_square(cells + regressions * np.tile(sides, 2)), scores)


def _propose_level(
    resizer: AreaResizer, network: Network, scale: float
) -> tuple[Floats, Floats, Floats]:
    """Cells (N, 4), scores (N,) and regressions (N, 4) of one level of the pyramid."""
    probabilities, regression = network(resizer.level(scale))
    face = probabilities[0, 1]
    rows, columns = np.nonzero(face >= PROPOSAL_THRESHOLD)
    corner = (np.stack([columns, rows], axis=1) * _STRIDE).astype(np.float32)
    # The +1 and the missing -1 are the Caffe original's, which counted pixels from 1.
    cells = np.hstack([np.floor((corner + 1) / scale), np.floor((corner + CELL) / scale)])
    scores = face[rows, columns]
    kept = suppress_by_union(cells, scores, 0.5)
    return cells[kept], scores[kept], regression[0, :, rows, columns][kept]


def _refine(resizer: AreaResizer, network: Network, candidates: Candidates) -> Candidates:
    """Second stage: the candidates R-Net believes in, moved to where it sees them, made square."""
    candidates, regressions = _score(resizer, network, candidates, 24, REFINE_THRESHOLD)
    kept = suppress_by_union(candidates.boxes, candidates.scores, 0.7)
    candidates, regressions = candidates[kept], regressions[kept]
    return Candidates(_square(_regressed(candidates.boxes, regressions)), candidates.scores)


def _output(resizer: AreaResizer, network: Network, candidates: Candidates) -> Candidates:
    """Third stage: the candidates O-Net believes in, moved, each face once."""
    candidates, regressions = _score(resizer, network, candidates, 48, OUTPUT_THRESHOLD)
    faces = Candidates(_regressed(candidates.boxes, regressions), candidates.scores)
    return faces[suppress_by_minimum(faces.boxes, faces.scores, 0.7)]


def _score(
    resizer: AreaResizer, network: Network, candidates: Candidates, size: int, threshold: float
) -> tuple[Candidates, Floats]:
    """Show the candidates to R-Net or O-Net.

    Returns:
        Those over the threshold with their new scores, and their regressions (N, 4).
    """
    corners = _pixels(candidates.boxes, resizer.height, resizer.width)
    # A box wholly outside the picture has nothing to score. facenet-pytorch fails there.
    visible = (corners[:, 2:] > corners[:, :2]).all(axis=1)
    boxes, corners = candidates.boxes[visible], corners[visible]
    if not len(boxes):
        return _no_candidates(), np.empty((0, 4), np.float32)
    batches = [
        network(resizer.crops(corners[start : start + _BATCH], size))
        for start in range(0, len(corners), _BATCH)
    ]
    probabilities, regressions = (np.concatenate(part) for part in zip(*batches, strict=True))
    scores = probabilities[:, 1]
    passed = scores > threshold
    return Candidates(boxes[passed], scores[passed]), regressions[passed]


def _pixels(boxes: Floats, height: int, width: int) -> NDArray[np.int32]:
    """Boxes as left, top, right, bottom inside the picture, the last two exclusive.

    The first pixel counts as 1 in a box (Caffe's original was written in MATLAB), so x1 = 1.0 is
    the left edge.
    """
    corners = boxes.astype(np.int32)  # towards zero, as torch's trunc
    corners[:, :2] = np.maximum(corners[:, :2], 1) - 1
    corners[:, 2:] = np.minimum(corners[:, 2:], (width, height))
    return corners


def _regressed(boxes: Floats, regressions: Floats) -> Floats:
    """Corners moved by shares of the box's sides, which count both end pixels."""
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    moved: Floats = boxes + regressions * np.tile(sides, 2)
    return moved


def _square(boxes: Floats) -> Floats:
    """Squares on the longer sides around the same centres."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = sides.max(axis=1, keepdims=True)
    # In this order: another one rounds differently.
    corner = boxes[:, :2] + sides * np.float32(0.5) - longest * np.float32(0.5)
    return np.hstack([corner, corner + longest])


def _no_candidates() -> Candidates:
    return Candidates(np.empty((0, 4), np.float32), np.empty(0, np.float32))
