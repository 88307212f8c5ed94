"""Boxes as arrays: (N, 4) float32 corners x1, y1, x2, y2 in pixels of the picture.

The arithmetic stays in float32 and in facenet-pytorch's order: another one rounds differently.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

LARGE_SHARE: Final = 0.3
"""A face is large whose longer side has this share of the frame's shorter one."""
LARGE_ALLOWANCE: Final = 0.2
"""By which the detector may be less sure of a large face."""


def shows_in(corners: NDArray[np.float32], height: int, width: int) -> NDArray[np.bool_]:
    """Which boxes (N, 4), cut to whole pixels, have a pixel inside the frame: (N,)."""
    whole = corners.astype(int)
    first, last = np.maximum(whole[:, :2], 0), np.minimum(whole[:, 2:], (width, height))
    inside: NDArray[np.bool_] = (first < last).all(axis=1)
    return inside


def sure(
    corners: NDArray[np.float32], scores: Floats, least: float, height: int, width: int
) -> Mask:
    """Which faces the detector is sure enough of: (N,).

    Args:
        corners: (N, 4)
        scores: (N,) O-Net's.
        least: the least one to keep; of large faces one that is lower by `LARGE_ALLOWANCE` is
            enough (benchmarks/accuracy.md has what that finds, and what it takes for faces).
        height: of the frame, in pixels.
        width: see `height`.
    """
    longer = (corners[:, 2:] - corners[:, :2]).max(axis=1)
    is_large = longer >= LARGE_SHARE * min(height, width)
    return scores >= np.where(is_large, least - LARGE_ALLOWANCE, least).astype(np.float32)


def areas(boxes: Floats) -> Floats:
    """Width times height, (N,)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    product: Floats = sides[:, 0] * sides[:, 1]
    return product


def regressed(boxes: Floats, regressions: Floats, pixel: int) -> Floats:
    """Corners moved by shares of the box's sides; sides are longer by `pixel`."""
    sides = boxes[:, 2:] - boxes[:, :2] + np.float32(pixel)
    moved: Floats = boxes + regressions * np.concatenate([sides, sides], axis=1)
    return moved


def squared(boxes: Floats) -> Floats:
    """Squares on the longer sides around the same centres."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = sides.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + sides * np.float32(0.5) - longest * np.float32(0.5)
    return np.concatenate([corner, corner + longest], axis=1)
