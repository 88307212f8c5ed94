"""The cascade's first stage: P-Net over levels of the pyramid, or over a part of them."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from fer_worker.inference.mtcnn.boxes import Floats, regressed, squared
from fer_worker.inference.mtcnn.operations import Candidates, DetectorOps
from fer_worker.inference.mtcnn.pyramid import CELL, Level, Picture, Window

PROPOSAL_THRESHOLD: Final = 0.6


def propose(
    picture: Picture, ops: DetectorOps, scales: Sequence[float], region: Floats | None = None
) -> Candidates:
    """Cells of some levels that look like a face, moved to where P-Net sees it, made square.

    Cells of a level suppress each other. facenet-pytorch then lets those of all levels do so at an
    IoU of 0.7. That never happens: within a level they overlap by 0.5 at most, and between levels,
    whole pixels included, by 0.64 (sides of 12 and 15 px; smallest face of at least 12 px). So it
    only sorts.

    Args:
        picture: the picture.
        ops: of which P-Net is asked.
        scales: of the levels, the finest first. They are handled together, since numpy takes
            longer to begin than to compute.
        region: (4,) x1, y1, x2, y2 in pixels of the picture: only cells around it are looked at.

    Returns:
        Proposals, highest score first; of equal ones those of the finest level first, in the order
        of rows, then columns.
    """
    levels = [
        Level(scale, window)
        for scale in scales
        for window in [_around(region, scale, picture.level_size(scale))]
        if min(window.right - window.left, window.bottom - window.top) >= CELL
    ]
    if not levels:
        return Candidates(np.empty((0, 4), np.float32), np.empty(0, np.float32))
    found = ops.cells(picture, levels, PROPOSAL_THRESHOLD)
    scale = np.array([level.scale for level in levels], np.float32)[found.levels, None]
    # The +1 and the missing -1 are the Caffe original's, which counted pixels from 1.
    boxes = np.concatenate(
        [np.floor((found.corners + 1) / scale), np.floor((found.corners + CELL) / scale)], axis=1
    )
    # Each level is moved where no other one is: in whole pixels, which float32 has up to 2^24.
    beyond = np.float32(2 * max(picture.height, picture.width))
    apart = found.levels.astype(np.float32)[:, None] * beyond
    kept = ops.suppress_by_union(boxes + apart, found.scores, 0.5)
    moved = regressed(boxes[kept], found.regressions[kept], pixel=0)
    return Candidates(squared(moved), found.scores[kept])


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
