"""The heavy steps of the cascade, and the boxes (see `boxes`) that pass between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.boxes import Floats, Indices, Mask
from fer_worker.inference.mtcnn.pyramid import Level, Picture

STRIDE: Final = 2
"""Pixels of a level from one cell of P-Net to the next."""


@dataclass(frozen=True)
class Cells:
    """What P-Net says of cells of some levels: N of them, level by level, row by row."""

    levels: Indices
    """(N,) which of the levels."""
    corners: Floats
    """(N, 2) column and row in the level of a cell's first pixel."""
    scores: Floats
    """(N,) probability that there is a face."""
    regressions: Floats
    """(N, 4)"""


@dataclass(frozen=True)
class Scores:
    """What R-Net or O-Net says of candidates."""

    scores: Floats
    """(N,) probability that there is a face."""
    regressions: Floats
    """(N, 4)"""
    landmarks: Floats
    """(N, 10) from O-Net, as shares of the candidate's sides: x of each, then y; see `FoundFaces`.
    (N, 0) from R-Net."""


class DetectorOps(Protocol):
    """The cascade's three networks, each looking at a picture, and suppression. Safe for threads.

    What a network says of a cell or a candidate over the threshold does not depend on the others,
    to the last bit.
    """

    def cells(self, picture: Picture, levels: Sequence[Level], threshold: float) -> Cells:
        """P-Net: cells of some levels that look like a face.

        Args:
            picture: the picture.
            levels: where to look, one at least. A window has 12 pixels or more per side. It begins
                at even pixels, and ends at even ones or where the level ends.
            threshold: the least score of the cells wanted.
        """
        ...

    def refine(self, picture: Picture, corners: NDArray[np.int32], threshold: float) -> Scores:
        """R-Net, on candidates.

        Args:
            picture: the picture.
            corners: (N, 4) left, top, right, bottom in pixels of the picture, the last two
                exclusive; inside the picture and not empty.
            threshold: what is said of those with lower scores may be a little off.
        """
        ...

    def output(self, picture: Picture, corners: NDArray[np.int32], threshold: float) -> Scores:
        """O-Net, on candidates; see `refine`."""
        ...

    def suppress_by_union(self, boxes: Floats, scores: Floats, threshold: float) -> Indices:
        """Drop boxes that overlap one of a higher score, a kept one, by more than the threshold.

        Overlap is intersection over union, as `torchvision.ops.nms` has it. Of equal scores the
        box that comes first wins.

        Returns:
            The indices of the kept ones, int64, highest score first.
        """
        ...

    def suppress_by_minimum(self, boxes: Floats, scores: Floats, threshold: float) -> Indices:
        """The same by intersection over the smaller area, so a box inside another goes too.

        facenet-pytorch's `nms_numpy(method="Min")`: corners are pixels that belong to the box, so
        sides are longer by 1. Of equal scores the box that comes last wins: there the order is that
        of a reversed `argsort`, which leaves ties to numpy's build; here they do not depend on
        other boxes.
        """
        ...


@dataclass(frozen=True)
class Candidates:
    """Boxes that may be faces: (N, 4) and their scores (N,), float32."""

    boxes: Floats
    scores: Floats

    def __post_init__(self) -> None:
        assert self.boxes.shape == (len(self.scores), 4), (self.boxes.shape, self.scores.shape)

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class FoundFaces:
    """What the cascade found: N faces, in an order that its maker names."""

    boxes: Floats
    """(N, 4)"""
    scores: Floats
    """(N,) O-Net's."""
    landmarks: Floats
    """(N, 5, 2) x, y in pixels of the picture: eyes, nose and corners of the mouth, those on the
    picture's left first."""

    def __post_init__(self) -> None:
        assert self.boxes.shape == (len(self.scores), 4), (self.boxes.shape, self.scores.shape)
        assert self.landmarks.shape == (len(self.scores), 5, 2), self.landmarks.shape

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, picked: Indices | Mask | slice) -> "FoundFaces":
        return FoundFaces(self.boxes[picked], self.scores[picked], self.landmarks[picked])
