from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.robustness import turned as turned_picture
from benchmarks.scenes import SCENES, draw
from fer_client.errors import EngineError
from fer_schemas import FaceSelection
from fer_worker.inference import weights
from fer_worker.inference.factory import create_engine
from fer_worker.inference.mtcnn.pyramid import CELL
from fer_worker.inference.native_engine import NativeEngine
from fer_worker.inference.types import Engine, EngineOptions, Percent
from fer_worker.inference.types import Views as ViewCount
from fer_worker.inference.weights import FILE, read_weights, write_weights
from tests.engine.conftest import Views
from tests.engine.golden import (
    FRAMES,
    OWN_GOLDEN,
    Color,
    assert_golden_answers,
    boxes_of,
    pictures,
    read_golden,
    read_picture,
)

EngineOf = Callable[[EngineOptions], Engine]

AS_FER = EngineOptions.as_fer(faces="all")
DEFAULT = EngineOptions(faces="all")
PORTRAIT = FRAMES / "grace_hopper.jpg"


@pytest.mark.parametrize("color", ["bgr", "rgb"])
def test_sample_frames_get_fers_own_answers(
    engine_of: EngineOf, color: Color, subtests: pytest.Subtests
) -> None:
    engine = engine_of(replace(AS_FER, detector_color=color))
    assert_golden_answers(engine, color, read_golden(OWN_GOLDEN), FRAMES, subtests)


@pytest.mark.parametrize("color", ["bgr", "rgb"])
def test_photographs_get_fers_own_answers(
    engine_of: EngineOf, color: Color, shared: Path, subtests: pytest.Subtests
) -> None:
    engine = engine_of(replace(AS_FER, detector_color=color))
    golden = read_golden(shared / "golden_fer.json")
    assert_golden_answers(engine, color, golden, shared / "photos", subtests)


def test_by_default_faces_are_fers_on_rgb_that_the_detector_is_sure_of(engine_of: EngineOf) -> None:
    engine = engine_of(DEFAULT)
    for _, image, frame in pictures(read_golden(OWN_GOLDEN), FRAMES):
        sure = [face["box"] for face in frame["rgb"] if face["probability"] >= 0.9]
        assert boxes_of(engine.analyze(image, "all").faces) == sure


@pytest.mark.parametrize("options", [AS_FER, DEFAULT], ids=["as fer", "default"])
def test_first_is_the_first_of_all(
    engine_of: EngineOf, options: EngineOptions, views: Views
) -> None:
    engine = engine_of(options)
    for image in views(20):
        first, every = engine.analyze(image, "first").faces, engine.analyze(image, "all").faces
        assert boxes_of(first) == boxes_of(every[:1])
        for one, other in zip(first, every, strict=False):
            assert one.probability == other.probability
            assert one.emotions == pytest.approx(other.emotions, abs=1e-5)


@pytest.mark.parametrize("more", [{"crop": "fer"}, {"views": 2}, {"views": 6}])
def test_crops_and_views_change_nothing_but_emotions(
    engine_of: EngineOf, more: dict[str, Any], views: Views
) -> None:
    plain = replace(DEFAULT, views=1)
    before, after = engine_of(plain), engine_of(replace(plain, **more))
    changed = 0
    for image in views(6):
        faces, others = (one.analyze(image, "all").faces for one in (after, before))
        assert [(face.box, face.probability) for face in faces] == [
            (face.box, face.probability) for face in others
        ]
        changed += [face.emotions for face in faces] != [face.emotions for face in others]
    assert changed


@pytest.mark.parametrize("which", ["first", "all"])
def test_landmarks_turn_with_the_picture(engine_of: EngineOf, which: FaceSelection) -> None:
    engine = engine_of(DEFAULT)
    assert isinstance(engine, NativeEngine)
    image = read_picture(FRAMES / "astronaut.jpg")
    (upright,) = engine.detect(image, which)
    for degrees in (-25, 10, 25):
        turned, to = turned_picture(degrees, image)
        (face,) = engine.detect(turned, which)
        assert face.landmarks is not None
        assert upright.landmarks is not None
        expected = upright.landmarks @ to[:, :2].T + to[:, 2]
        assert np.abs(face.landmarks - expected).max() < 0.08 * face.box.width


def test_with_a_mirrored_view_a_face_and_its_mirror_image_are_read_alike(
    engine_of: EngineOf,
) -> None:
    image = read_picture(PORTRAIT)
    apart = {}
    counts: tuple[ViewCount, ...] = (1, 2, 6)
    for count in counts:
        engine = engine_of(replace(DEFAULT, views=count))
        one, other = (
            engine.analyze(np.ascontiguousarray(shown), "first").faces[0].emotions
            for shown in (image, image[:, ::-1])
        )
        apart[count] = sum(abs(one[name] - other[name]) for name in one)
    assert max(apart[2], apart[6]) < apart[1]


def test_scores_of_a_face_add_up_to_one(engine_of: EngineOf, views: Views) -> None:
    faces = [face for image in views(10) for face in engine_of(DEFAULT).analyze(image, "all").faces]
    assert faces
    for face in faces:
        assert sum(face.emotions.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("options", [AS_FER, DEFAULT], ids=["as fer", "default"])
def test_four_threads_give_the_serial_answers(
    engine_of: EngineOf, options: EngineOptions, views: Views
) -> None:
    engine, images = engine_of(options), views(50)

    def faces(image: NDArray[np.uint8]) -> object:
        return engine.analyze(image, "all").faces

    serial = [faces(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(faces, images))
    assert parallel == serial


@pytest.mark.parametrize(
    ("height", "width"),
    [(20, 20), (21, 20), (20, 500), (2000, 20), (37, 41), (1, 300), (300, 19), (5, 5)],
)
def test_small_and_long_frames_are_analysed(engine_of: EngineOf, height: int, width: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    for image in (noise, np.zeros_like(noise), np.full_like(noise, 255)):
        for options in (AS_FER, DEFAULT):
            analysis = engine_of(options).analyze(image, "all")
            assert analysis.faces == () or min(height, width) >= 20
            assert min(analysis.detect_ms, analysis.classify_ms) >= 0


def test_a_face_is_found_in_a_grey_frame(engine_of: EngineOf) -> None:
    grey = np.repeat(read_picture(PORTRAIT)[:, :, :1], 3, axis=2)
    assert len(engine_of(DEFAULT).analyze(grey, "all").faces) == 1


def test_faces_smaller_than_min_face_size_are_not_found(engine_of: EngineOf) -> None:
    image = read_picture(PORTRAIT)  # one face, about 200 px
    assert len(engine_of(replace(DEFAULT, min_face_size=100)).analyze(image, "all").faces) == 1
    assert engine_of(replace(DEFAULT, min_face_size=400)).analyze(image, "all").faces == ()


@pytest.mark.parametrize(("width", "pixels"), [(1920, 58), (1280, 38)])
@pytest.mark.parametrize("which", ["first", "all"])
def test_per_cent_of_the_longer_side_finds_what_as_many_pixels_find(
    engine_of: EngineOf, which: FaceSelection, width: int, pixels: int
) -> None:
    (crowd,) = (draw(scene) for scene in SCENES if scene.name == "1080p crowd")
    image = np.asarray(cv2.resize(crowd, (width, width * 9 // 16)), np.uint8)
    for frame in (image, np.ascontiguousarray(image.transpose(1, 0, 2))):
        percent, equal, more = (
            engine_of(replace(DEFAULT, min_face_size=size)).analyze(frame, which).faces
            for size in (Percent("3%"), pixels, 20)
        )
        assert percent == equal
    assert len(percent) < len(more) or which == "first"


def test_faces_below_min_face_probability_are_dropped(engine_of: EngineOf, views: Views) -> None:
    strict = engine_of(replace(AS_FER, min_face_probability=0.995))
    found = kept = 0
    for image in views(40):
        every = engine_of(AS_FER).analyze(image, "all").faces
        expected = [
            face
            for face in every
            if face.probability
            >= (
                0.795
                if max(face.box.width, face.box.height) > 0.3 * min(image.shape[:2])
                else 0.995
            )
        ]
        seen = strict.analyze(image, "all").faces
        assert boxes_of(seen) == boxes_of(expected)
        found, kept = found + len(every), kept + len(seen)
    assert 0 < kept < found


def test_faces_smaller_than_a_cell_are_refused() -> None:
    with pytest.raises(EngineError, match="12 pixels"):
        create_engine(EngineOptions(min_face_size=11))


def test_per_cent_of_a_small_frame_are_no_smaller_than_a_cell(engine_of: EngineOf) -> None:
    engine = engine_of(replace(DEFAULT, min_face_size=Percent("0.5%")))
    image = read_picture(PORTRAIT)
    assert engine.options.min_face_pixels(*image.shape[:2]) == CELL
    assert len(engine.analyze(image, "all").faces) == 1


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "networks.npz"
    with pytest.raises(EngineError, match=rf"{path} are missing: fer-worker export-models"):
        read_weights(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"not weights",
        lambda content: content[: len(content) // 2],
        lambda content: content[:1000] + bytes(8) + content[1008:],
        lambda content: content[:-40] + bytes(8) + content[-32:],
    ],
    ids=["empty", "junk", "half", "zeros in a network", "zeros in the directory"],
)
def test_damaged_weights_are_one_line(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "networks.npz"
    path.write_bytes(damage(FILE.read_bytes()))
    with pytest.raises(EngineError, match=rf"{path} are damaged: .") as refused:
        read_weights(path)
    assert "\n" not in str(refused.value)


def test_weights_are_written_as_they_were_read(tmp_path: Path) -> None:
    write_weights(read_weights(FILE), tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == FILE.read_bytes()


def test_weights_without_one_of_their_networks_do_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = dict(read_weights(FILE))
    del networks["onet"]
    write_weights(networks, tmp_path / "networks.npz")
    monkeypatch.setattr(weights, "FILE", tmp_path / "networks.npz")
    with pytest.raises(EngineError, match="do not fit: 'onet'"):
        create_engine(DEFAULT)
