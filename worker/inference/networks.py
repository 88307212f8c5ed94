"""The three networks of the cascade, as functions, and the boxes that pass between them.

Boxes here are (N, 4) float32 corners x1, y1, x2, y2 in pixels of the picture. The arithmetic stays
in float32 and in facenet-pytorch's order: another one rounds differently.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


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
    """Boxes that may be faces: (N, 4) and their scores (N,), float32."""

    boxes: Floats
    scores: Floats

    def __post_init__(self) -> None:
        assert self.boxes.shape == (len(self.scores), 4), (self.boxes.shape, self.scores.shape)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, picked: Indices | Mask | slice) -> "Candidates":
        return Candidates(self.boxes[picked], self.scores[picked])


def areas(boxes: Floats) -> Floats:
    """Width times height, (N,)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    product: Floats = sides[:, 0] * sides[:, 1]
    return product


def regressed(boxes: Floats, regressions: Floats, pixel: int) -> Floats:
    """Corners moved by shares of the box's sides; sides are longer by `pixel`."""
    sides = boxes[:, 2:] - boxes[:, :2] + np.float32(pixel)
    moved: Floats = boxes + regressions * np.tile(sides, 2)
    return moved


def squared(boxes: Floats) -> Floats:
    """Squares on the longer sides around the same centres."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = sides.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + sides * np.float32(0.5) - longest * np.float32(0.5)
    return np.hstack([corner, corner + longest])
