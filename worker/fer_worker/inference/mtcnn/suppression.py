"""Non-maximum suppression, in the two ways that facenet-pytorch's cascade uses.

Both take boxes as (N, 4) float32 corners x1, y1, x2, y2 and scores as (N,) float32, walk the boxes
from the highest score down and drop those that overlap an earlier, kept one by more than
`threshold`. They return the indices of the kept boxes (int64), highest score first.

The definition is quadratic. Here only boxes that share columns are compared, all at once, and the
walk goes through those pairs that overlap by more than the threshold: a crowd's thousands of boxes
take milliseconds.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
Scores = NDArray[np.float32]
Indices = NDArray[np.int64]

_PAIRS_AT_ONCE = 500_000
"""A bound on memory: a pair takes about 100 bytes while it is looked at."""


def suppress_by_union(boxes: Boxes, scores: Scores, threshold: float) -> Indices:
    """Overlap is intersection over union, as `torchvision.ops.nms` has it.

    Of equal scores the box that comes first wins.
    """
    order = by_score(scores, first_of_equals=True)
    areas = _areas(boxes, pixel=0)

    def overlap(a: Indices, b: Indices) -> NDArray[np.float32]:
        shared = _intersection(boxes[a], boxes[b], pixel=0)
        ratio: NDArray[np.float32] = shared / (areas[a] + areas[b] - shared)
        return ratio

    conflicts = [
        pair[:, overlap(*pair) > threshold] for pair in _sharing_columns(boxes[:, ::2], pixel=0)
    ]
    return _walk(order, conflicts)


def suppress_by_minimum(boxes: Boxes, scores: Scores, threshold: float) -> Indices:
    """Overlap is intersection over the smaller area, so a box inside another goes too.

    facenet-pytorch's `nms_numpy(method="Min")`: corners are pixels that belong to the box, so sides
    are longer by 1. Of equal scores the box that comes last wins: there the order is that of a
    reversed `argsort`, which leaves ties to numpy's build; here they do not depend on other boxes.
    """
    order = by_score(scores, first_of_equals=False)
    areas = _areas(boxes, pixel=1)

    def overlap(a: Indices, b: Indices) -> NDArray[np.float32]:
        shared = _intersection(boxes[a], boxes[b], pixel=1)
        smaller: NDArray[np.float32] = np.minimum(areas[a], areas[b])
        return shared / smaller

    conflicts = [
        pair[:, overlap(*pair) > threshold] for pair in _sharing_columns(boxes[:, ::2], pixel=1)
    ]
    return _walk(order, conflicts)


def by_score(scores: Scores, *, first_of_equals: bool) -> Indices:
    """The order of the walk: the highest score first; of equal ones the first box, or the last."""
    if first_of_equals:
        return np.argsort(-scores, kind="stable")
    return np.ascontiguousarray(np.argsort(scores, kind="stable")[::-1])


def _sharing_columns(spans: NDArray[np.float32], pixel: int) -> Iterator[Indices]:
    """Index pairs, (2, P) at a time, of all boxes whose spans (N, 2) of x overlap."""
    order = np.argsort(spans[:, 0], kind="stable")
    starts, ends = spans[order, 0], spans[order, 1] + np.float32(pixel)
    # Those that start between a box's start and its end: neighbours in this order.
    following = np.arange(1, len(order) + 1)
    counts = np.maximum(np.searchsorted(starts, ends) - following, 0)
    totals = np.cumsum(counts)
    done = 0
    while done < len(order):
        before = int(totals[done - 1]) if done else 0
        until = max(done + 1, int(np.searchsorted(totals, before + _PAIRS_AT_ONCE)))
        some = counts[done:until]
        first = np.repeat(np.arange(done, until), some)
        offsets = np.arange(len(first)) - np.repeat(np.cumsum(some) - some, some)
        yield np.stack([order[first], order[first + 1 + offsets]])
        done = until


def _walk(order: Indices, conflicts: list[Indices]) -> Indices:
    """Keep each box that no kept one before it drops, given which of them drop each other."""
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    pairs = ranks[np.concatenate([*conflicts, np.empty((2, 0), np.int64)], axis=1)]
    better, worse = pairs.min(axis=0), pairs.max(axis=0)
    dropped = np.zeros(len(order), bool)
    # A box without a better rival stays and drops its rivals, everywhere at once, until no box
    # has a rival: the same as one by one, in as many rounds as the longest chain.
    while better.size:
        contested = np.zeros(len(order), bool)
        contested[worse] = True
        dropped[worse[~contested[better]]] = True
        left = ~(dropped[better] | dropped[worse])
        better, worse = better[left], worse[left]
    return order[~dropped]


def _areas(boxes: Boxes, pixel: int) -> NDArray[np.float32]:
    sides = boxes[:, 2:] - boxes[:, :2] + np.float32(pixel)
    areas: NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return areas


def _intersection(a: Boxes, b: Boxes, pixel: int) -> NDArray[np.float32]:
    """Shared areas of pairs of boxes, (N, 4) each; `pixel` is added to their sides."""
    top_left = np.maximum(a[:, :2], b[:, :2])
    bottom_right = np.minimum(a[:, 2:], b[:, 2:])
    sides = np.maximum(bottom_right - top_left + np.float32(pixel), np.float32(0))
    shared: NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return shared
