"""The search for the largest face against the whole cascade: exactly its first face.

FER_WORKER_TEST_EVERY_FRAME=1 looks at every frame of the clips and at many more scenes (3 min), as
`make test-reference` does.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from fer_worker.inference.mtcnn import largest_first as largest
from fer_worker.inference.mtcnn.detector import detect_faces
from fer_worker.inference.mtcnn.operations import FoundFaces
from fer_worker.inference.types import Engine, EngineOptions
from tests.engine.golden import FRAMES, OWN_GOLDEN, pictures, read_golden, read_picture
from tests.engine.scenes import Paste, Picture, Scene, scenes

EngineOf = Callable[[EngineOptions], Engine]

EVERYTHING = bool(os.environ.get("FER_WORKER_TEST_EVERY_FRAME"))
OPTIONS = [
    EngineOptions.as_fer(),
    EngineOptions(),
    EngineOptions(min_face_size=40, min_face_probability=0.99),
]
each_option = pytest.mark.parametrize("options", OPTIONS, ids=["as fer", "default", "strict"])


@pytest.fixture(scope="session")
def photographs() -> list[Picture]:
    """The sample frames, and close-ups of the faces in them."""
    frames = [(image, frame) for _, image, frame in pictures(read_golden(OWN_GOLDEN), FRAMES)]
    close_ups = [
        image[max(0, y) : y + height, max(0, x) : x + width]
        for image, frame in frames
        for x, y, width, height in (face["box"] for face in frame["rgb"])
    ]
    return [image for image, _ in frames] + close_ups


def assert_first_is_the_first_of_all(engine: Engine, image: Picture) -> None:
    first, every = engine.analyze(image, "first").faces, engine.analyze(image, "all").faces
    assert [(face.box, face.probability) for face in first] == [
        (face.box, face.probability) for face in every[:1]
    ]


@each_option
def test_on_sample_frames(engine_of: EngineOf, options: EngineOptions) -> None:
    for _, image, _ in pictures(read_golden(OWN_GOLDEN), FRAMES):
        assert_first_is_the_first_of_all(engine_of(options), image)


@each_option
def test_on_photographs(
    engine_of: EngineOf, options: EngineOptions, shared: Path, subtests: pytest.Subtests
) -> None:
    for path in sorted((shared / "photos").glob("*.*g")):
        with subtests.test(photo=path.name):
            assert_first_is_the_first_of_all(engine_of(options), read_picture(path))


@pytest.mark.timeout(3600)
@each_option
def test_on_frames_of_clips(engine_of: EngineOf, options: EngineOptions, shared: Path) -> None:
    for path in sorted((shared / "clips").iterdir()):
        for number, frame in enumerate(frames_of(path)):
            if EVERYTHING or number % 60 == 0:
                assert_first_is_the_first_of_all(engine_of(options), frame)


@pytest.mark.timeout(3600)
@each_option
def test_on_scenes_of_faces_over_and_inside_each_other(
    engine_of: EngineOf, options: EngineOptions, photographs: list[Picture]
) -> None:
    @given(scenes)
    @settings(
        deadline=None,
        max_examples=1000 if EVERYTHING else 40,
        suppress_health_check=[HealthCheck.too_slow],
    )
    def first_is_the_first_of_all(scene: Scene) -> None:
        assert_first_is_the_first_of_all(engine_of(options), scene.draw(photographs))

    first_is_the_first_of_all()


def test_a_small_surer_face_inside_a_large_one_takes_it_away(
    engine_of: EngineOf, photographs: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A face 22 px wide on the forehead of one of 150 px: its levels are only searched around that.
    large = Paste(photograph=2, height=0.9, x=0.5, y=0.5, inside=False, mirrored=False)
    small = Paste(photograph=6, height=0.18, x=0.5, y=0.25, inside=True, mirrored=False)
    scene = Scene(400, 400, background=0, pastes=(large, small)).draw(photographs)
    asked_for_all = []

    def noting(*arguments: Any) -> FoundFaces:
        asked_for_all.append(arguments)
        return detect_faces(*arguments)

    monkeypatch.setattr(largest, "detect_faces", noting)
    (face,) = engine_of(EngineOptions.as_fer()).analyze(scene, "first").faces
    assert asked_for_all
    assert face.box.width < 30
    assert_first_is_the_first_of_all(engine_of(EngineOptions.as_fer()), scene)


def frames_of(clip: Path) -> Iterator[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(clip))
    while True:
        more, frame = capture.read()
        if not more:
            return
        yield np.asarray(frame, dtype=np.uint8)
