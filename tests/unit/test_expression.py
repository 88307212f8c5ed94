"""The two crops, fer's against fer's own steps (padding the whole picture, as fer 25.10.3 does)."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas import Emotion
from worker.inference.engine import Box
from worker.inference.expression import Crop, classify_faces, face_crops

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)


def as_fer_crops(image: NDArray[np.uint8], box: Box) -> NDArray[np.float32]:
    """The steps of `FER.detect_emotions`, in its order."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    mean = cv2.mean(grey[-2:])[0]
    padded = cv2.copyMakeBorder(grey, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=[mean] * 3)
    x, y, w, h = box.x, box.y, box.width, box.height
    if h > w:
        x -= (h - w) // 2
        w = h
    elif w > h:
        y -= (w - h) // 2
        h = w
    top, left = max(0, y - 10 + 40), max(0, x - 10 + 40)
    face = padded[top : y + h + 10 + 40, left : x + w + 10 + 40]
    scaled = np.array([cv2.resize(face, (64, 64))], dtype=np.float32) / 255.0
    cropped: NDArray[np.float32] = (scaled - 0.5) * 2.0
    return cropped


boxes = st.builds(
    Box, st.integers(-30, 80), st.integers(-30, 60), st.integers(31, 120), st.integers(31, 120)
)
"""Faces that have at least one pixel inside the picture; most reach over its edge."""


@given(boxes)
@settings(deadline=None)
def test_fer_crop_is_what_fer_cuts_out(box: Box) -> None:
    assert np.array_equal(face_crops(IMAGE, [box], "fer")[0], as_fer_crops(IMAGE, box))


@given(st.lists(boxes, min_size=1, max_size=4), st.sampled_from(["fer", "tight"]))
@settings(deadline=None)
def test_crops_are_grey_squares_between_minus_one_and_one(found: list[Box], crop: Crop) -> None:
    crops = face_crops(IMAGE, found, crop)
    assert crops.shape == (len(found), 1, 64, 64)
    assert crops.dtype == np.float32
    assert -1 <= crops.min() <= crops.max() <= 1


@pytest.mark.parametrize(
    ("box", "x", "y", "side"),
    [
        (Box(200, 100, 100, 100), 205, 107, 90),
        (Box(200, 100, 100, 200), 160, 114, 180),  # tall: as wide as it is high
        (Box(200, 100, 200, 100), 210, 62, 180),  # wide: as high as it is wide
    ],
)
def test_tight_crop_is_a_square_five_percent_inside_and_two_percent_down(
    box: Box, x: int, y: int, side: int
) -> None:
    image = np.random.default_rng(1).integers(0, 256, (400, 600, 3), np.uint8)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    face = cv2.resize(grey[y : y + side, x : x + side], (64, 64)).astype(np.float32)
    assert np.array_equal(face_crops(image, [box], "tight")[0, 0], (face / 255 - 0.5) * 2)


def test_tight_crop_beyond_the_edge_is_filled_and_keeps_its_shape() -> None:
    white = np.full((60, 60, 3), 255, np.uint8)
    white[:58] = 0  # the fill is the mean of the last two rows
    crop = face_crops(white, [Box(-30, -30, 60, 60)], "tight")[0, 0]
    assert (crop[:30, :30] == 1).all()
    assert (crop[40:, 40:] == -1).all()


@pytest.mark.parametrize("crop", ["fer", "tight"])
@pytest.mark.parametrize(
    "box", [Box(0, 0, 1, 1), Box(89, 69, 1, 1), Box(-500, -500, 501, 501), Box(89, 0, 3, 2)]
)
def test_boxes_that_barely_touch_the_picture_are_cropped_all_the_same(box: Box, crop: Crop) -> None:
    assert face_crops(IMAGE, [box], crop).shape == (1, 1, 64, 64)


def test_scores_are_named_in_the_order_of_the_network() -> None:
    rows = np.array([[0.1, 0, 0, 0.6, 0, 0, 0.3], [0, 0.5, 0.5, 0, 0, 0, 0]], np.float32)
    seen = []

    def network(faces: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        seen.append(len(faces))
        return [rows]

    first, second = classify_faces(IMAGE, [Box(0, 0, 40, 40)] * 2, network, "fer")
    assert seen == [2]
    assert list(first) == list(Emotion)
    assert first[Emotion.HAPPY] == pytest.approx(0.6)
    assert second[Emotion.FEAR] == second[Emotion.DISGUST] == 0.5


def test_no_faces_ask_no_network() -> None:
    def network(_: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        raise AssertionError("asked")

    assert classify_faces(IMAGE, [], network, "fer") == []
