"""The first stage with a made-up P-Net that knows a cell by its pixels."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.proposals import propose
from fer_worker.inference.mtcnn.pyramid import Picture
from tests.numpy_networks import Network, NumpyOps

Floats = NDArray[np.float32]
PICTURE = Picture(np.random.default_rng(0).integers(0, 256, (231, 317, 3), np.uint8))


def by_pixels(pictures: Floats) -> list[Floats]:
    """The score of a cell hangs on its middle pixels and is often another's; no regression."""
    cells = sliding_window_view(pictures[0], (12, 12), axis=(1, 2))[:, ::2, ::2]
    probability = (cells[..., 5:7, 5:7].sum(axis=(0, 3, 4)) * 1000 % 1)[None].round(2)
    maps = np.stack([1 - probability, probability], axis=1).astype(np.float32)
    return [maps, np.zeros((1, 4, *probability.shape[1:]), np.float32)]


def with_pnet(pnet: Network) -> NumpyOps:
    def never(_: Floats) -> list[Floats]:
        raise AssertionError("asked")

    return NumpyOps(pnet, never, never)


def test_around_a_region_the_cells_are_those_of_the_whole_level() -> None:
    scale = 0.6
    region = np.array([100, 80, 180, 170], np.float32)
    whole = propose(PICTURE, with_pnet(by_pixels), [scale])
    around = propose(PICTURE, with_pnet(by_pixels), [scale], region)
    # Cells a third of their side from the border of what was looked at have all their rivals.
    inner = (around.boxes[:, :2] > region[:2] - 6).all(axis=1) & (
        around.boxes[:, 2:] < region[2:] + 6
    ).all(axis=1)
    assert 5 < inner.sum() < len(around) < len(whole) / 3
    everywhere = {tuple(box) for box in whole.boxes.tolist()}
    # Without the rivals beyond the border a chain of them may end otherwise: rarely.
    known = [tuple(box) in everywhere for box in around.boxes[inner].tolist()]
    assert np.mean(known) > 0.8


def test_levels_together_propose_what_each_does_alone() -> None:
    scales = [0.6, 0.1, 0.02, 0.3]  # the third is smaller than a cell
    ops = with_pnet(by_pixels)
    together = propose(PICTURE, ops, scales)
    alone = [propose(PICTURE, ops, [scale]) for scale in scales]
    boxes = np.concatenate([each.boxes for each in alone])
    scores = np.concatenate([each.scores for each in alone])
    order = np.argsort(-scores, kind="stable")  # many are equal
    assert len(set(scores.tolist())) < len(scores) / 2
    assert np.array_equal(together.boxes, boxes[order])
    assert np.array_equal(together.scores, scores[order])


@pytest.mark.parametrize("region", [(-50, -50, -40, -40), (400, 10, 500, 60)])
def test_a_region_outside_the_picture_has_no_cells(region: tuple[int, ...]) -> None:
    assert len(propose(PICTURE, with_pnet(by_pixels), [0.6], np.array(region, np.float32))) == 0
