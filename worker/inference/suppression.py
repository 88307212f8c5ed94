"""Non-maximum suppression, in the two ways that facenet-pytorch's cascade uses.

Both take boxes as (N, 4) float32 corners x1, y1, x2, y2 and scores as (N,) float32, walk the boxes
from the highest score down and drop those that overlap an earlier, kept one by more than
`threshold`. They return the indices of the kept boxes (int64), highest score first.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
Scores = NDArray[np.float32]
Indices = NDArray[np.int64]


def suppress_by_union(boxes: Boxes, scores: Scores, threshold: float) -> Indices:
    """Overlap is intersection over union, as `torchvision.ops.nms` has it.

    Of equal scores the box that comes first wins.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

    def overlap(i: int, others: Indices) -> NDArray[np.float32]:
        shared = _intersection(boxes[i], boxes[others], pixel=0)
        ratio: NDArray[np.float32] = shared / (areas[i] + areas[others] - shared)
        return ratio

    return _suppress(np.argsort(-scores, kind="stable"), overlap, threshold)


def suppress_by_minimum(boxes: Boxes, scores: Scores, threshold: float) -> Indices:
    """Overlap is intersection over the smaller area, so a box inside another goes too.

    facenet-pytorch's `nms_numpy(method="Min")`: corners are pixels that belong to the box, so sides
    are longer by 1; of equal scores the box that its `argsort` puts last wins.
    """
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)

    def overlap(i: int, others: Indices) -> NDArray[np.float32]:
        shared = _intersection(boxes[i], boxes[others], pixel=1)
        ratio: NDArray[np.float32] = shared / np.minimum(areas[i], areas[others])
        return ratio

    return _suppress(np.argsort(scores)[::-1], overlap, threshold)


def _suppress(
    order: Indices,
    overlap: Callable[[int, Indices], NDArray[np.float32]],
    threshold: float,
) -> Indices:
    kept = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        order = rest[~(overlap(best, rest) > threshold)]
    return np.array(kept, dtype=np.int64)


def _intersection(box: NDArray[np.float32], others: Boxes, pixel: int) -> NDArray[np.float32]:
    """Shared area of one box (4,) with each of (N, 4); `pixel` is added to its sides."""
    top_left = np.maximum(box[:2], others[:, :2])
    bottom_right = np.minimum(box[2:], others[:, 2:])
    sides = np.maximum(bottom_right - top_left + np.float32(pixel), np.float32(0))
    shared: NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return shared
