import numpy as np

from fer_worker.inference.detection import Detection, detections
from fer_worker.inference.types import Box


def found(*corners: tuple[float, float, float, float], minimum: float = 0.0) -> list[Detection]:
    probabilities = np.linspace(0.9, 0.5, len(corners), dtype=np.float32)
    return detections(np.array(corners, np.float32), probabilities, minimum, (100, 200, 3))


def test_corners_are_cut_to_whole_pixels_towards_zero() -> None:
    (face,) = found((-3.9, 10.9, 50.9, 60.1))
    assert face.box == Box(-3, 10, 53, 50)


def test_the_order_is_kept_and_unsure_faces_are_dropped() -> None:
    corners = [(0, 0, 10, 10), (0, 0, 30, 30), (0, 0, 20, 20)]
    assert [face.box.width for face in found(*corners)] == [10, 30, 20]
    assert [face.box.width for face in found(*corners, minimum=0.6)] == [10, 30]


def test_a_large_face_may_be_a_little_less_sure() -> None:
    # The frame's shorter side has 100 pixels.
    large, small = (0, 0, 20, 30), (50, 50, 79, 79)
    probabilities = np.array([0.71, 0.89], np.float32)
    corners = np.array([large, small], np.float32)
    (kept,) = detections(corners, probabilities, 0.9, (100, 200, 3))
    assert kept.box == Box(0, 0, 20, 30)
    assert detections(corners, probabilities, 0.95, (100, 200, 3)) == []


def test_a_probability_of_just_the_minimum_is_enough() -> None:
    assert found((0, 0, 10, 10), minimum=float(np.float32(0.9)))


def test_boxes_without_a_pixel_inside_the_frame_are_dropped() -> None:
    outside = [
        (-20, 0, 0, 20),
        (200, 0, 220, 20),
        (0, -20, 20, 0),
        (0, 100, 20, 120),
        (9, 9, 9, 20),
    ]
    assert found(*outside) == []
    assert len(found((-20, -20, 1, 1), (199, 99, 220, 120))) == 2


def test_of_the_faces_that_are_kept_each_has_its_own_landmarks() -> None:
    corners = np.array([[0, 0, 10, 10], [0, 0, 30, 30], [5, 5, 9, 9]], np.float32)
    landmarks = np.arange(30, dtype=np.float32).reshape(3, 5, 2)
    faces = detections(corners, np.array([0.9, 0.5, 0.9], np.float32), 0.6, (999, 999), landmarks)
    for face, expected in zip(faces, landmarks[::2], strict=True):
        assert face.landmarks is not None
        assert np.array_equal(face.landmarks, expected)
    assert found((0, 0, 10, 10))[0].landmarks is None
