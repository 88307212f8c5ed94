"""What the emotion network is shown of a face, and what is made of its scores."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_schemas import Emotion
from fer_worker.inference.crops import face_crops
from fer_worker.inference.detection import Detection
from fer_worker.inference.emotion import classify_faces
from fer_worker.inference.types import Box, Crop

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
PLACES = [(0.3028, 0.3887), (0.6902, 0.3811), (0.4934, 0.6119), (0.3388, 0.8126), (0.6626, 0.8085)]
"""Of eyes, nose and corners of the mouth in FER2013."""


def face(box: Box, landmarks: object = None) -> Detection:
    points = None if landmarks is None else np.asarray(landmarks, np.float32)
    return Detection(box, 1.0, points)


def placed(middle: Sequence[float], side: float, degrees: float = 0) -> Detection:
    """A face whose square has this middle and side, turned clockwise."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    landmarks = (np.array(PLACES) - 0.5) * side @ turn.T + middle
    x, y = (round(at - side / 2) for at in middle)
    return face(Box(x, y, round(side), round(side)), landmarks)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    """A picture without fine detail, so that interpolation hardly changes it."""
    noise = np.random.default_rng(3).integers(0, 256, (height // 20, width // 20, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


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


numbers = st.floats(width=32)  # also those that are none
landmarks = st.lists(st.tuples(numbers, numbers), min_size=5, max_size=5)


@given(
    st.lists(st.tuples(boxes, st.none() | landmarks), min_size=1, max_size=4),
    st.sampled_from(["fer", "aligned"]),
)
@settings(deadline=None)
def test_crops_are_grey_squares_between_minus_one_and_one(
    found: list[tuple[Box, object]], crop: Crop
) -> None:
    with np.errstate(all="ignore"):
        crops = face_crops(IMAGE, [face(*each) for each in found], crop)
    assert crops.shape == (len(found), 64, 64)
    assert crops.dtype == np.float32
    assert np.abs(crops).max() <= 1


@pytest.mark.parametrize("side", [20, 33, 64, 150, 500, 900])
@pytest.mark.parametrize("degrees", [0, -35, 12, 60])
def test_landmarks_come_to_lie_where_fer2013_has_them(side: int, degrees: float) -> None:
    image = np.zeros((1200, 1200, 3), np.uint8)
    shown = placed((611.3, 588.8), side, degrees)
    assert shown.landmarks is not None
    for point, place in zip(shown.landmarks.tolist(), PLACES, strict=True):
        marked = image.copy()
        # Coordinates are those of edges: a pixel's middle lies half a pixel further.
        at = [round((value - 0.5) * 16) for value in point]
        cv2.circle(marked, at, round(side / 25 * 16), (255, 255, 255), -1, cv2.LINE_AA, 4)
        (crop,) = face_crops(marked, [shown], "aligned") + 1
        ys, xs = np.mgrid[:64, :64] + 0.5
        seen = [(crop * axis).sum() / crop.sum() / 64 for axis in (xs, ys)]
        assert seen == pytest.approx(place, abs=0.02)


@pytest.mark.parametrize("degrees", [-25, 8, 40])
@pytest.mark.parametrize("scale", [0.5, 1, 3])
def test_a_face_is_shown_alike_however_it_is_turned_and_scaled(
    degrees: float, scale: float
) -> None:
    image = smooth(400, 400)
    to = cv2.getRotationMatrix2D((199.5, 199.5), -degrees, 1)
    turned = cv2.warpAffine(image, to, (400, 400), flags=cv2.INTER_CUBIC)
    changed = np.asarray(cv2.resize(turned, None, fx=scale, fy=scale), np.uint8)
    (plain,) = face_crops(image, [placed((200, 200), 160)], "aligned")
    middle = (200 * scale, 200 * scale)
    (shown,) = face_crops(changed, [placed(middle, 160 * scale, degrees)], "aligned")
    assert np.abs(shown - plain).mean() < 0.02


@pytest.mark.parametrize("side", [25, 100, 400])
def test_beyond_the_picture_its_border_goes_on(side: int) -> None:
    image = np.full((200, 300, 3), 90, np.uint8)
    image[:, 200:] = 220
    (corner,) = face_crops(image, [placed((300, 0), side)], "aligned")
    expected = np.float32((220 / 255 - 0.5) * 2)
    assert corner[:, 63] == pytest.approx(expected, abs=0.01)
    assert corner[0] == pytest.approx(corner[32], abs=0.01)


def test_a_large_face_is_averaged_not_sampled() -> None:
    image = np.zeros((800, 800, 3), np.uint8)
    image[::2, ::2] = image[1::2, 1::2] = 255  # a chequerboard of single pixels
    (crop,) = face_crops(image, [placed((400, 400), 700, 7)], "aligned")
    assert np.abs(crop).max() < 0.02


SWAPPED = [PLACES[i] for i in (1, 0, 2, 4, 3)]


@pytest.mark.parametrize(
    "landmarks",
    [
        np.full((5, 2), np.nan),
        np.full((5, 2), np.inf),
        np.full((5, 2), 40.0),
        np.array(PLACES) * 9 + 40,  # a ninth of the box
        np.array(PLACES) * 300,  # a multiple of it
        np.array(SWAPPED) * 60 + 20,  # left is right, up stays up
    ],
    ids=["none", "infinite", "a point", "tiny", "huge", "swapped"],
)
def test_landmarks_that_make_no_sense_are_not_believed(landmarks: NDArray[np.float64]) -> None:
    image, box = smooth(120, 120), Box(20, 20, 70, 80)
    shown, expected = face_crops(image, [face(box, landmarks), face(box)], "aligned")
    assert np.array_equal(shown, expected)


def test_without_landmarks_a_face_is_shown_upright_about_as_large() -> None:
    image = smooth(400, 400)
    with_them = placed((200, 196), 144)
    without = face(Box(120, 120, 160, 160))
    shown, expected = face_crops(image, [without, with_them], "aligned")
    assert np.abs(shown - expected).mean() < 0.03


@pytest.mark.parametrize("crop", ["fer", "aligned"])
def test_the_second_view_is_the_mirror_image(crop: Crop) -> None:
    found = [face(Box(10, 10, 40, 40)), placed((40, 50), 40, 10)]
    views = face_crops(IMAGE, found, crop, views=2)
    assert np.array_equal(views[::2], face_crops(IMAGE, found, crop))
    assert np.array_equal(views[1::2], views[::2, :, ::-1])


def test_six_views_are_of_three_sizes_each_mirrored() -> None:
    image = smooth(400, 400)
    views = face_crops(image, [placed((200, 200), 160)], "aligned", views=6)
    for index, share in enumerate((0.95, 1, 1.05)):
        landmarks = placed((200, 200), 160 * share).landmarks
        (alone,) = face_crops(image, [face(Box(120, 120, 160, 160), landmarks)], "aligned")
        assert views[2 * index] == pytest.approx(alone, abs=0.02)
        assert np.array_equal(views[2 * index + 1], views[2 * index, :, ::-1])


def test_scores_of_views_are_averaged_face_by_face() -> None:
    rows = np.zeros((4, 7), np.float32)
    rows[0, 3] = rows[1, 6] = rows[2, 0] = rows[3, 0] = 1
    found = [face(Box(0, 0, 40, 40))] * 2
    first, second = classify_faces(IMAGE, found, lambda _: rows, "aligned", views=2)
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
