"""The cascade's heavy steps in numpy, around networks that are functions of arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.mtcnn import suppression
from fer_worker.inference.mtcnn.boxes import Floats, Indices
from fer_worker.inference.mtcnn.operations import STRIDE, Cells, Scores
from fer_worker.inference.mtcnn.pyramid import CELL, AreaResizer, Window

_SHARED: Final = CELL - STRIDE
"""Pixels that tiles next to each other share, so that every cell lies in one of them."""
_TILE = 256
"""Side in pixels of what P-Net is shown at once: its activations stay near the cache."""
_STEP: Final = 16
"""Tiles are this much larger from one size to the next. For each size that it meets, OpenVINO
compiles kernels, which takes longer than to run them on all but the largest tiles."""
_BATCH: Final = 32
"""Candidates shown to R-Net or O-Net at once: their activations stay in the second-level cache."""


class Network(Protocol):
    """One of the three networks."""

    def __call__(self, pictures: Floats, /) -> Sequence[Floats]:
        """Score pictures.

        Args:
            pictures: (N, 3, H, W), about -1 to 1. R-Net takes 24x24, O-Net 48x48, P-Net any size.

        Returns:
            Probabilities (N, 2), no face and face, and box regressions (N, 4), all float32. From
            P-Net they are maps: (N, 2, h, w) and (N, 4, h, w), one value a cell. From O-Net also
            landmarks (N, 10), x of each, then y.
        """
        ...


@dataclass(frozen=True)
class NumpyOps:
    """Implements `Kernels`: P-Net sees a level in tiles of a few sizes, the others see batches."""

    pnet: Network
    rnet: Network
    onet: Network

    def cells(self, picture: AreaResizer, scale: float, window: Window, threshold: float) -> Cells:
        """Run P-Net; see `Kernels.cells`."""
        level = picture.level(scale, window)
        found = [
            self._cells(level[:, :, y1:y2, x1:x2], (window.left + x1, window.top + y1), threshold)
            for y1, y2 in _spans(level.shape[2])
            for x1, x2 in _spans(level.shape[3])
        ]
        corners, scores, regressions = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort(corners.T)  # row by row through the level, whatever the tiles
        return Cells(corners[order], scores[order], regressions[order])

    def refine(self, picture: AreaResizer, corners: NDArray[np.int32], threshold: float) -> Scores:
        """Run R-Net; see `Kernels.refine`."""
        return _score(self.rnet, picture, corners, 24)

    def output(self, picture: AreaResizer, corners: NDArray[np.int32], threshold: float) -> Scores:
        """Run O-Net; see `Kernels.output`."""
        return _score(self.onet, picture, corners, 48)

    def suppress_by_union(self, boxes: Floats, scores: Floats, threshold: float) -> Indices:
        """See `suppression.suppress_by_union`."""
        return suppression.suppress_by_union(boxes, scores, threshold)

    def suppress_by_minimum(self, boxes: Floats, scores: Floats, threshold: float) -> Indices:
        """See `suppression.suppress_by_minimum`."""
        return suppression.suppress_by_minimum(boxes, scores, threshold)

    def _cells(
        self, tile: Floats, at: tuple[int, int], threshold: float
    ) -> tuple[Floats, Floats, Floats]:
        """Corners in the level, scores and regressions of cells over the threshold.

        Args:
            tile: (1, 3, H, W), a part of a level.
            at: column and row of its first pixel in the level.
            threshold: see above.
        """
        height, width = tile.shape[2:]
        # Filled up before the first row and column, never after the last: where a level has an odd
        # side, its last cells see 11 pixels, and that is P-Net's own doing.
        above, before = (-side % _STEP // STRIDE for side in (height, width))
        y, x = above * STRIDE, before * STRIDE
        canvas = np.zeros((1, 3, y + height, x + width), np.float32)
        canvas[:, :, y:, x:] = tile
        probabilities, regressions = self.pnet(canvas)
        face = probabilities[0, 1, above:, before:]
        rows, columns = np.nonzero(face >= threshold)
        corners = np.stack([columns, rows], axis=1) * STRIDE + at
        regressions = regressions[0, :, above + rows, before + columns]
        return corners.astype(np.float32), face[rows, columns], regressions


def _score(network: Network, picture: AreaResizer, corners: NDArray[np.int32], size: int) -> Scores:
    """Show candidates to R-Net or O-Net, resized to `size`."""
    batches = range(0, len(corners), _BATCH)
    answers = [network(picture.crops(corners[at : at + _BATCH], size)) for at in batches]
    probabilities, regressions, *landmarks = map(np.concatenate, zip(*answers, strict=True))
    none = np.empty((len(corners), 0), np.float32)
    return Scores(probabilities[:, 1], regressions, landmarks[0] if landmarks else none)


def _spans(side: int) -> list[tuple[int, int]]:
    """Cut one side into spans that share 10 pixels; the last has a cell's 11 at least."""
    starts = range(0, side - _SHARED, _TILE - _SHARED)
    return [(at, min(at + _TILE, side)) for at in starts]
