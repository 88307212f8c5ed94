"""The cascade with made-up networks: who is asked what, and how often."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.detector import detect_faces
from fer_worker.inference.mtcnn.largest_first import detect_largest_face
from tests.numpy_networks import Network, NumpyOps

Floats = NDArray[np.float32]
IMAGE = np.random.default_rng(0).integers(0, 256, (160, 200, 3), np.uint8)


def never(_: Floats) -> list[Floats]:
    raise AssertionError("asked")


def proposing(every: int) -> Network:
    """A P-Net sure of a grid of cells, `every` rows and columns apart, up to the last one."""

    def network(pictures: Floats) -> list[Floats]:
        assert pictures.shape[:2] == (1, 3)
        rows, columns = ((side - 12) // 2 + 1 for side in pictures.shape[2:])
        probabilities = np.zeros((1, 2, rows, columns), np.float32)
        probabilities[0, 1, ::-every, ::-every] = 1
        return [probabilities, np.zeros((1, 4, rows, columns), np.float32)]

    return network


def answering(probability: float, asked: list[tuple[int, ...]]) -> Network:
    """An R-Net or O-Net that says the same of every candidate and notes what it was shown."""

    def network(pictures: Floats) -> list[Floats]:
        asked.append(pictures.shape)
        return said(np.full(len(pictures), probability), of_output=pictures.shape[2] == 48)

    return network


def said(probabilities: NDArray[np.float64], of_output: bool) -> list[Floats]:
    """What R-Net or O-Net says: boxes stay as they are, landmarks lie on a line through them."""
    count = len(probabilities)
    answers = [np.stack([1 - probabilities, probabilities], axis=1), np.zeros((count, 4))]
    if of_output:
        answers.append(np.tile(np.linspace(0, 1, 5), (count, 2)))
    return [answer.astype(np.float32) for answer in answers]


def proposing_nothing(pictures: Floats) -> list[Floats]:
    return [0 * answer for answer in proposing(every=1)(pictures)]


def test_without_proposals_nobody_else_is_asked() -> None:
    ops = NumpyOps(proposing_nothing, never, never)
    faces = detect_faces(IMAGE, ops, min_face_size=20)
    assert faces.boxes.shape == (0, 4)
    assert len(faces) == 0


@pytest.mark.parametrize("shape", [(19, 300, 3), (300, 19, 3), (1, 1, 3)])
def test_in_a_frame_smaller_than_the_smallest_face_nobody_is_asked(shape: tuple[int, ...]) -> None:
    faces = detect_faces(np.zeros(shape, np.uint8), NumpyOps(never, never, never), 20)
    assert len(faces) == 0


def test_what_the_second_network_refuses_the_third_does_not_see() -> None:
    asked: list[tuple[int, ...]] = []
    ops = NumpyOps(proposing(every=1000), answering(0.7, asked), never)
    assert len(detect_faces(IMAGE, ops, min_face_size=20)) == 0
    assert [shape[1:] for shape in asked] == [(3, 24, 24)]


def test_faces_come_largest_first_with_the_last_networks_scores() -> None:
    ops = NumpyOps(proposing(every=1000), answering(0.9, []), answering(0.8, []))
    # One cell a level, all in one corner; the last suppression leaves the ones not inside another.
    faces = detect_faces(IMAGE, ops, min_face_size=20)
    areas = np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1)
    assert len(faces) >= 1
    assert (np.diff(areas) <= 0).all()
    assert (faces.scores == np.float32(0.8)).all()


def test_the_unsure_ones_change_nothing_in_the_others() -> None:
    def output(pictures: Floats) -> list[Floats]:
        return said(np.linspace(0.71, 0.99, len(pictures)), of_output=True)

    ops = NumpyOps(proposing(every=8), answering(0.9, []), output)
    every = detect_faces(IMAGE, ops, min_face_size=20)
    sure = detect_faces(IMAGE, ops, min_face_size=20, min_probability=0.9)
    assert 0 < len(sure) < len(every)
    assert np.array_equal(sure.boxes, every.boxes[every.scores >= 0.9])


@pytest.mark.parametrize("detect", [detect_faces, detect_largest_face])
def test_landmarks_are_pixels_of_the_picture_between_the_candidates_corners(detect: Any) -> None:
    ops = NumpyOps(proposing(every=1000), answering(0.9, []), answering(0.8, []))
    faces = detect(IMAGE, ops, min_face_size=20)
    assert faces.landmarks.shape == (len(faces), 5, 2)
    # The first pixel counts as 1 in a box, and the last belongs to it.
    np.testing.assert_allclose(faces.landmarks[:, 0], faces.boxes[:, :2] - 1)
    np.testing.assert_allclose(faces.landmarks[:, 4], faces.boxes[:, 2:])
