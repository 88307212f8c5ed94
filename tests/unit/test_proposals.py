"""The first stage with a made-up P-Net that knows a cell by its pixels."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fer_worker.inference.mtcnn import numpy_operations as numpy_kernels
from fer_worker.inference.mtcnn.numpy_operations import Network, NumpyOps
from fer_worker.inference.mtcnn.proposals import propose
from fer_worker.inference.mtcnn.pyramid import AreaResizer

Floats = NDArray[np.float32]
PICTURE = AreaResizer(np.random.default_rng(0).integers(0, 256, (231, 317, 3), np.uint8))


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


@pytest.mark.parametrize("tile", [24, 34, 64, 100])
@pytest.mark.parametrize("scale", [0.6, 0.43, 0.3])
def test_tiles_find_the_cells_of_the_whole_level_in_their_order(
    tile: int, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = propose(PICTURE, with_pnet(by_pixels), scale)
    monkeypatch.setattr(numpy_kernels, "_TILE", tile)
    in_tiles = propose(PICTURE, with_pnet(by_pixels), scale)
    assert len(whole) > 50 > len(set(whole.scores.tolist()))
    assert np.array_equal(in_tiles.boxes, whole.boxes)
    assert np.array_equal(in_tiles.scores, whole.scores)


def test_the_network_meets_few_shapes_whatever_the_picture() -> None:
    sides: set[int] = set()

    def noting(pictures: Floats) -> list[Floats]:
        sides.update(pictures.shape[2:])
        return [0 * answer for answer in by_pixels(pictures)]

    for side in range(60, 500, 7):
        propose(AreaResizer(np.zeros((side, 2 * side, 3), np.uint8)), with_pnet(noting), 0.6)
    assert max(sides) <= 256
    assert {-side % 16 for side in sides} == {0, 1}  # even and odd ones


def test_around_a_region_the_cells_are_those_of_the_whole_level() -> None:
    scale = 0.6
    region = np.array([100, 80, 180, 170], np.float32)
    whole = propose(PICTURE, with_pnet(by_pixels), scale)
    around = propose(PICTURE, with_pnet(by_pixels), scale, region)
    # Cells a third of their side from the border of what was looked at have all their rivals.
    inner = (around.boxes[:, :2] > region[:2] - 6).all(axis=1) & (
        around.boxes[:, 2:] < region[2:] + 6
    ).all(axis=1)
    assert 5 < inner.sum() < len(around) < len(whole) / 3
    everywhere = {tuple(box) for box in whole.boxes.tolist()}
    # Without the rivals beyond the border a chain of them may end otherwise: rarely.
    known = [tuple(box) in everywhere for box in around.boxes[inner].tolist()]
    assert np.mean(known) > 0.8


@pytest.mark.parametrize("region", [(-50, -50, -40, -40), (400, 10, 500, 60)])
def test_a_region_outside_the_picture_has_no_cells(region: tuple[int, ...]) -> None:
    assert len(propose(PICTURE, with_pnet(by_pixels), 0.6, np.array(region, np.float32))) == 0
