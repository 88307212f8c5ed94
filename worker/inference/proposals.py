"""The cascade's first stage: P-Net over a level of the pyramid, or over a part of it."""

from typing import Final

import numpy as np

from worker.inference.networks import Candidates, Floats, Network, regressed, squared
from worker.inference.pyramid import CELL, AreaResizer, Window
from worker.inference.suppression import suppress_by_union

PROPOSAL_THRESHOLD: Final = 0.6
_STRIDE = 2
"""Pixels from one cell of P-Net to the next."""
_SHARED = CELL - _STRIDE
"""Pixels that tiles next to each other share, so that every cell lies in one of them."""
_TILE = 256
"""Side in pixels of what P-Net is shown at once: its activations stay near the cache."""
_STEP = 16
"""Tiles are this much larger from one size to the next. For each size that it meets, OpenVINO
compiles kernels, which takes longer than to run them on all but the largest tiles."""


def propose(
    picture: AreaResizer, network: Network, scale: float, region: Floats | None = None
) -> Candidates:
    """Cells of one level that look like a face, moved to where P-Net sees it, made square.

    facenet-pytorch then lets the cells of all levels suppress each other at an IoU of 0.7. That
    never happens: within a level they overlap by 0.5 at most, and between levels, whole pixels
    included, by 0.64 (sides of 12 and 15 px; smallest face of at least 12 px). So it only sorts.

    Args:
        picture: the picture.
        network: P-Net.
        scale: the level's.
        region: (4,) x1, y1, x2, y2 in pixels of the picture: only cells around it are looked at.

    Returns:
        Proposals, highest score first.
    """
    window = _around(region, scale, picture.level_size(scale))
    if min(window.right - window.left, window.bottom - window.top) < CELL:
        return Candidates(np.empty((0, 4), np.float32), np.empty(0, np.float32))
    level = picture.level(scale, window)
    found = [
        _cells(network, level[:, :, y1:y2, x1:x2], (window.left + x1, window.top + y1))
        for y1, y2 in _spans(level.shape[2])
        for x1, x2 in _spans(level.shape[3])
    ]
    corners, scores, regressions = (np.concatenate(part) for part in zip(*found, strict=True))
    # Row by row through the level, whatever the tiles: it decides between equal scores.
    order = np.lexsort(corners.T)
    corners, scores, regressions = corners[order], scores[order], regressions[order]
    # The +1 and the missing -1 are the Caffe original's, which counted pixels from 1.
    cells = np.hstack([np.floor((corners + 1) / scale), np.floor((corners + CELL) / scale)])
    kept = suppress_by_union(cells, scores, 0.5)
    return Candidates(squared(regressed(cells[kept], regressions[kept], pixel=0)), scores[kept])


def _cells(network: Network, tile: Floats, at: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """Cells over the threshold: corners in the level (N, 2), scores (N,), regressions (N, 4).

    Args:
        network: P-Net.
        tile: (1, 3, H, W), a part of a level.
        at: column and row of its first pixel in the level.
    """
    height, width = tile.shape[2:]
    # Filled up before the first row and column, never after the last: where a level has an odd
    # side, its last cells see 11 pixels, and that is P-Net's own doing.
    above, before = (-side % _STEP // _STRIDE for side in (height, width))
    y, x = above * _STRIDE, before * _STRIDE
    canvas = np.zeros((1, 3, y + height, x + width), np.float32)
    canvas[:, :, y:, x:] = tile
    probabilities, regressions = network(canvas)
    face = probabilities[0, 1, above:, before:]
    rows, columns = np.nonzero(face >= PROPOSAL_THRESHOLD)
    corners = np.stack([columns, rows], axis=1) * _STRIDE + at
    scores = face[rows, columns]
    return corners.astype(np.float32), scores, regressions[0, :, above + rows, before + columns]


def _around(region: Floats | None, scale: float, size: tuple[int, int]) -> Window:
    """The part of a level where cells overlap the region; all of it if there is no region.

    It starts at even pixels, as cells do, and so that P-Net's pooling sees the same pairs of pixels
    as in the whole level, it ends at even ones or where the level ends.
    """
    width, height = size
    if region is None:
        return Window(0, 0, width, height)
    x1, y1 = np.floor(region[:2] * scale).astype(int) - CELL
    x2, y2 = np.ceil(region[2:] * scale).astype(int) + CELL
    return Window(
        max(0, x1 // 2 * 2),
        max(0, y1 // 2 * 2),
        min(width, -(-x2 // 2) * 2),
        min(height, -(-y2 // 2) * 2),
    )


def _spans(side: int) -> list[tuple[int, int]]:
    """Cut one side into spans that share 10 pixels; the last has a cell's 11 at least."""
    starts = range(0, side - _SHARED, _TILE - _SHARED)
    return [(at, min(at + _TILE, side)) for at in starts]
