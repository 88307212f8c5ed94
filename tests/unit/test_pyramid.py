"""The oracle's area resizing against its plain definition, a loop over integer bins."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.pyramid import FACTOR, Picture, Window, pyramid_scales
from tests.numpy_networks import crops_of, level_of


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def resized(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Resize as `torch.nn.functional.adaptive_avg_pool2d` is defined; (3, height, width)."""
    rows, columns = image.shape[:2]
    means = np.empty((3, height, width), np.float32)
    for y in range(height):
        top, bottom = y * rows // height, math.ceil((y + 1) * rows / height)
        for x in range(width):
            left, right = x * columns // width, math.ceil((x + 1) * columns / width)
            sums = image[top:bottom, left:right].sum(axis=(0, 1), dtype=np.float32)
            means[:, y, x] = sums / np.float32(bottom - top) / np.float32(right - left)
    return (means - np.float32(127.5)) * np.float32(0.0078125)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.6, 0.43, 0.21, 1.0, 1.7]))
@settings(deadline=None)
def test_a_level_is_the_picture_averaged_over_integer_bins(
    height: int, width: int, scale: float
) -> None:
    image = noise(height, width)
    level = level_of(Picture(image), scale)
    assert level.shape == (1, 3, int(height * scale + 1), int(width * scale + 1))
    assert level.dtype == np.float32
    assert np.array_equal(level[0], resized(image, *level.shape[2:]))


@given(st.integers(0, 50), st.integers(0, 80), st.integers(1, 90), st.integers(1, 120))
@settings(deadline=None)
def test_a_window_of_a_level_is_cut_out_of_the_level(
    left: int, top: int, width: int, height: int
) -> None:
    resizer = Picture(noise(300, 200))
    columns, rows = resizer.level_size(0.6)
    window = Window(left, top, min(columns, left + width), min(rows, top + height))
    part = level_of(resizer, 0.6)[:, :, window.top : window.bottom, window.left : window.right]
    assert np.array_equal(level_of(resizer, 0.6, window), part)


@given(st.data(), st.sampled_from([24, 48]))
@settings(deadline=None)
def test_crops_are_averaged_over_integer_bins_whatever_their_shape(
    data: st.DataObject, size: int
) -> None:
    image = noise(60, 90)

    def side(length: int) -> list[int]:
        ends = st.lists(st.integers(0, length), min_size=2, max_size=2, unique=True)
        return sorted(data.draw(ends))

    (left, right), (top, bottom) = side(90), side(60)
    corners = np.array([[left, top, right, bottom], [0, 0, 90, 60]], np.int32)
    crops = crops_of(Picture(image), corners, size)
    assert crops.dtype == np.float32
    assert np.array_equal(crops[0], resized(image[top:bottom, left:right], size, size))
    assert np.array_equal(crops[1], resized(image, size, size))


def test_a_reversed_view_is_as_good_as_a_copy() -> None:
    reversed_channels = noise(50, 70)[:, :, ::-1]
    copy = Picture(np.ascontiguousarray(reversed_channels))
    assert np.array_equal(level_of(Picture(reversed_channels), 0.6), level_of(copy, 0.6))


def test_pictures_side_by_side_and_one_after_the_other_do_not_mix() -> None:
    images = [noise(side, 2 * side) for side in (40, 31, 52)]
    alone = [level_of(Picture(image), 0.6) for image in images]
    together = [Picture(image) for image in images]
    for resizer, expected in zip(together, alone, strict=True):
        assert np.array_equal(level_of(resizer, 0.6), expected)


def test_sums_stay_exact_where_the_integral_image_wraps_around() -> None:
    image = np.full((3000, 3000, 3), 255, np.uint8)  # 2.3e9 a channel, over 2**31
    resizer = Picture(image)
    corner = np.array([[2900, 2900, 3000, 3000]], np.int32)
    white = np.float32((255 - 127.5) * 0.0078125)
    assert (crops_of(resizer, corner, 24) == white).all()
    assert (level_of(resizer, 0.05) == white).all()


def test_scales_start_at_the_smallest_face_and_shrink_by_the_factor() -> None:
    scales = pyramid_scales(1080, 1920, min_face_size=20)
    assert scales[0] == 0.6
    assert np.allclose(np.divide(scales[1:], scales[:-1]), FACTOR)
    assert 1080 * scales[-1] >= 12 > 1080 * scales[-1] * FACTOR


@pytest.mark.parametrize(("side", "levels"), [(19, 0), (20, 1), (28, 1), (29, 2)])
def test_a_frame_smaller_than_the_smallest_face_has_no_levels(side: int, levels: int) -> None:
    assert len(pyramid_scales(side, 400, min_face_size=20)) == levels
    assert len(pyramid_scales(400, side, min_face_size=20)) == levels
