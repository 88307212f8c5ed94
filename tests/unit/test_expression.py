"""What the emotion network is shown of a face, and what is made of its answers.

fer's crop is held to fer's own steps (padding the whole picture, as fer 25.10.3 does).
"""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_schemas import Emotion
from fer_worker.inference.detection import Detection
from fer_worker.inference.emotion import classify_faces, face_crops
from fer_worker.inference.types import Box, Crop

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)


def face(box: Box, roll: float = 0.0) -> Detection:
    return Detection(box, 0.99, roll)


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
    assert np.array_equal(face_crops(IMAGE, [face(box)], "fer"), as_fer_crops(IMAGE, box))


@given(st.lists(boxes, min_size=1, max_size=4), st.sampled_from(["fer", "tight"]))
@settings(deadline=None)
def test_crops_are_grey_squares_between_minus_one_and_one(found: list[Box], crop: Crop) -> None:
    crops = face_crops(IMAGE, [face(box) for box in found], crop)
    assert crops.shape == (len(found), 64, 64)
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
    square = cv2.resize(grey[y : y + side, x : x + side], (64, 64)).astype(np.float32)
    assert np.array_equal(face_crops(image, [face(box)], "tight")[0], (square / 255 - 0.5) * 2)


def test_tight_crop_beyond_the_edge_is_filled_and_keeps_its_shape() -> None:
    white = np.full((60, 60, 3), 255, np.uint8)
    white[:58] = 0  # the fill is the mean of the last two rows
    crop = face_crops(white, [face(Box(-30, -30, 60, 60))], "tight")[0]
    assert (crop[:30, :30] == 1).all()
    assert (crop[40:, 40:] == -1).all()


@pytest.mark.parametrize("crop", ["fer", "tight"])
@pytest.mark.parametrize(
    "box",
    [
        *(Box(0, 0, 1, 1), Box(89, 69, 1, 1), Box(89, 0, 3, 2)),
        *(Box(-500, -500, 501, 501), Box(-3000, -3000, 3001, 3001), Box(89, 69, 3000, 3000)),
    ],
)
def test_boxes_that_barely_touch_the_picture_are_cropped_all_the_same(box: Box, crop: Crop) -> None:
    for roll in (0.0, 0.5, -2.0):
        assert face_crops(IMAGE, [face(box, roll)], crop, views=6).shape == (6, 64, 64)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    """A picture without edges: interpolation hardly shows."""
    noise = np.random.default_rng(2).integers(0, 256, (height, width, 3), np.uint8)
    blurred = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 6)
    return np.asarray(128 + (blurred - 128) * 6, dtype=np.uint8)


@pytest.mark.parametrize("crop", ["fer", "tight"])
@pytest.mark.parametrize("degrees", [-40, -7, 3, 25, 90])
def test_a_turned_face_is_shown_as_it_is_in_the_picture_turned_back(
    degrees: float, crop: Crop
) -> None:
    image = smooth(300, 300)
    box = Box(105, 95, 90, 110)  # its middle is the picture's, so it stays where it is
    to = cv2.getRotationMatrix2D((149.5, 149.5), -degrees, 1)  # clockwise
    turned = np.asarray(cv2.warpAffine(image, to, (300, 300), flags=cv2.INTER_CUBIC), np.uint8)
    upright = face_crops(image, [face(box)], crop)
    aligned = face_crops(turned, [face(box, math.radians(degrees))], crop)
    tilted = face_crops(turned, [face(box)], crop)
    assert np.abs(aligned - upright).max() < min(0.04, np.abs(tilted - upright).max() / 2)


def test_a_face_turned_by_next_to_nothing_is_shown_as_an_upright_one() -> None:
    image = smooth(200, 260)
    for box in (Box(100, 60, 80, 100), Box(-20, 130, 60, 90), Box(230, -30, 50, 50)):
        for crop in ("fer", "tight"):
            upright, turned = (face_crops(image, [face(box, by)], crop) for by in (0, 1e-9))
            assert np.abs(turned - upright)[:, 2:-2, 2:-2].mean() < 0.01


def test_a_turned_crop_beyond_the_edge_is_filled() -> None:
    white = np.full((60, 60, 3), 255, np.uint8)
    white[:58] = 0  # the fill is the mean of the last two rows
    crop = face_crops(white, [face(Box(-30, -30, 60, 60), math.pi / 4)], "tight")[0]
    assert (crop[:, :8] == 1).all()
    assert crop[32, 60] == -1
    outside = face_crops(white, [face(Box(-90, -90, 91, 91), math.pi / 4)], "tight")
    assert (outside == 1).all()  # its corner was all that showed


def test_the_second_view_is_the_mirror_image() -> None:
    found = [face(Box(10, 10, 40, 40)), face(Box(30, 5, 30, 50), 0.3)]
    views = face_crops(IMAGE, found, "tight", views=2)
    assert np.array_equal(views[::2], face_crops(IMAGE, found, "tight"))
    assert np.array_equal(views[1::2], views[::2, :, ::-1])


def test_six_views_are_margins_of_ten_five_and_no_percent_each_mirrored() -> None:
    image = np.random.default_rng(1).integers(0, 256, (400, 600, 3), np.uint8)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    views = face_crops(image, [face(Box(200, 100, 100, 100))], "tight", views=6)
    for index, (x, y, side) in enumerate([(210, 112, 80), (205, 107, 90), (200, 102, 100)]):
        square = cv2.resize(grey[y : y + side, x : x + side], (64, 64)).astype(np.float32)
        assert np.array_equal(views[2 * index], (square / 255 - 0.5) * 2)
        assert np.array_equal(views[2 * index + 1], views[2 * index, :, ::-1])


def test_scores_of_views_are_averaged_face_by_face() -> None:
    rows = np.zeros((4, 7), np.float32)
    rows[0, 3] = rows[1, 6] = rows[2, 0] = rows[3, 0] = 1
    found = [face(Box(0, 0, 40, 40))] * 2
    first, second = classify_faces(IMAGE, found, lambda _: rows, "tight", views=2)
    assert (first[Emotion.HAPPY], first[Emotion.NEUTRAL]) == (0.5, 0.5)
    assert second[Emotion.ANGRY] == 1


def test_scores_are_named_in_the_order_of_the_network() -> None:
    rows = np.array([[0.1, 0, 0, 0.6, 0, 0, 0.3], [0, 0.5, 0.5, 0, 0, 0, 0]], np.float32)
    seen = []

    def network(faces: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(len(faces))
        return rows

    first, second = classify_faces(IMAGE, [face(Box(0, 0, 40, 40))] * 2, network, "fer")
    assert seen == [2]
    assert list(first) == list(Emotion)
    assert first[Emotion.HAPPY] == pytest.approx(0.6)
    assert second[Emotion.FEAR] == second[Emotion.DISGUST] == 0.5


def test_no_faces_ask_no_network() -> None:
    def network(_: NDArray[np.float32]) -> NDArray[np.float32]:
        raise AssertionError("asked")

    assert classify_faces(IMAGE, [], network, "fer") == []
