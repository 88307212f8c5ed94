import itertools
import math
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray

from benchmarks.robustness import turned as turned_picture
from fer_client.errors import EngineError
from fer_schemas import FaceSelection
from fer_worker.inference import weights as models
from fer_worker.inference.factory import create_engine
from fer_worker.inference.openvino_engine import BatchNetwork, OpenVinoEngine, OpenVinoNetwork
from fer_worker.inference.types import Engine, EngineOptions, KernelsName
from fer_worker.inference.types import Views as ViewCount
from tests.engine.conftest import Views
from tests.engine.golden import (
    FRAMES,
    OWN_GOLDEN,
    Color,
    assert_same_faces,
    boxes_of,
    pictures,
    read_golden,
    read_picture,
)

EngineOf = Callable[[EngineOptions], Engine]

AS_FER = EngineOptions.as_fer(faces="all")
DEFAULT = EngineOptions(faces="all")
PORTRAIT = FRAMES / "grace_hopper.jpg"


@pytest.mark.parametrize("kernels", ["compiled", "openvino"])
@pytest.mark.parametrize("color", ["bgr", "rgb"])
def test_sample_frames_get_fers_own_answers(
    engine_of: EngineOf, color: Color, kernels: KernelsName
) -> None:
    engine = engine_of(replace(AS_FER, detector_color=color, kernels=kernels))
    for _, image, frame in pictures(read_golden(OWN_GOLDEN), FRAMES):
        assert_same_faces(engine.analyze(image, "all").faces, frame[color])


@pytest.mark.parametrize("kernels", ["compiled", "openvino"])
@pytest.mark.parametrize("color", ["bgr", "rgb"])
def test_photographs_get_fers_own_answers(
    engine_of: EngineOf, color: Color, kernels: KernelsName, shared: Path, subtests: pytest.Subtests
) -> None:
    engine = engine_of(replace(AS_FER, detector_color=color, kernels=kernels))
    golden = read_golden(shared / "golden_fer.json")
    for name, image, frame in pictures(golden, shared / "photos"):
        with subtests.test(photo=name):
            assert_same_faces(engine.analyze(image, "all").faces, frame[color])


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


@pytest.mark.parametrize(
    ("kernels", "more"),
    [
        ("compiled", {"align": True}),
        ("compiled", {"views": 2}),
        ("openvino", {"align": True, "views": 6}),
    ],
)
def test_alignment_and_views_change_nothing_but_emotions(
    engine_of: EngineOf, kernels: KernelsName, more: dict[str, Any], views: Views
) -> None:
    plain = replace(DEFAULT, align=False, views=1, kernels=kernels)
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
@pytest.mark.parametrize("kernels", ["compiled", "openvino"])
def test_the_roll_of_a_face_turns_with_the_picture(
    engine_of: EngineOf, kernels: KernelsName, which: FaceSelection
) -> None:
    engine = engine_of(replace(DEFAULT, align=True, kernels=kernels))
    assert isinstance(engine, OpenVinoEngine)
    image = read_picture(FRAMES / "astronaut.jpg")
    (upright,) = engine.detect(image, which)
    for degrees in (-25, 10, 25):
        turned, _ = turned_picture(degrees, image)
        (face,) = engine.detect(turned, which)
        assert math.degrees(face.roll - upright.roll) == pytest.approx(degrees, abs=4)


def test_with_a_mirrored_view_a_face_and_its_mirror_image_are_read_alike(
    engine_of: EngineOf,
) -> None:
    image = read_picture(PORTRAIT)
    apart = {}
    counts: tuple[ViewCount, ...] = (1, 2, 6)
    for count in counts:
        engine = engine_of(replace(DEFAULT, align=False, views=count))
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


def test_faces_below_min_face_probability_are_dropped(engine_of: EngineOf, views: Views) -> None:
    images = views(40)
    every = [face for image in images for face in engine_of(AS_FER).analyze(image, "all").faces]
    strict = engine_of(replace(AS_FER, min_face_probability=0.99))
    kept = [face for image in images for face in strict.analyze(image, "all").faces]
    assert boxes_of(kept) == boxes_of([face for face in every if face.probability >= 0.99])
    assert 0 < len(kept) < len(every)


@pytest.mark.parametrize("name", ["pnet", "rnet", "onet", "emotion"])
def test_networks_compute_in_f32_on_unpinned_threads(name: str) -> None:
    network = OpenVinoNetwork(openvino.Core(), models.FOLDER / f"{name}.onnx", threads=1)
    properties = {
        key: network.compiled.get_property(key)
        for key in ("ENABLE_CPU_PINNING", "NUM_STREAMS", "INFERENCE_NUM_THREADS")
    }
    assert network.compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
    assert properties == {
        "ENABLE_CPU_PINNING": False,
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": 1,
    }


@pytest.mark.parametrize(
    ("name", "shape"), [("rnet", (3, 24, 24)), ("onet", (3, 48, 48)), ("emotion", (1, 64, 64))]
)
def test_what_a_network_says_of_a_picture_does_not_depend_on_the_others(
    name: str, shape: tuple[int, ...]
) -> None:
    path = models.FOLDER / f"{name}.onnx"
    network = BatchNetwork(openvino.Core(), path, threads=1, alone=name == "emotion")
    batch = np.random.default_rng(0).uniform(-1, 1, (41, *shape)).astype(np.float32)
    together = network(batch)
    for size in (1, 2, 3, 7, 40):
        apart = [network(batch[start : start + size]) for start in range(0, len(batch), size)]
        for output, parts in zip(together, zip(*apart, strict=True), strict=True):
            assert np.array_equal(np.concatenate(parts), output)


def test_what_the_detector_says_of_a_cell_does_not_depend_on_its_surroundings() -> None:
    network = OpenVinoNetwork(openvino.Core(), models.FOLDER / "pnet.onnx", threads=1)
    level = np.random.default_rng(0).uniform(-1, 1, (1, 3, 91, 130)).astype(np.float32)
    whole = [output.copy() for output in network(level)]
    for x, y in ((0, 0), (40, 16), (70, 50)):
        part = network(np.ascontiguousarray(level[:, :, y : y + 40, x : x + 60]))
        for output, expected in zip(part, whole, strict=True):
            around = expected[:, :, y // 2 : y // 2 + 15, x // 2 : x // 2 + 25]
            assert np.array_equal(output, around)


def test_faces_smaller_than_a_cell_are_refused() -> None:
    with pytest.raises(EngineError, match="12 pixels"):
        create_engine(EngineOptions(min_face_size=11), threads=1)


def test_memory_does_not_grow_with_every_new_frame_size() -> None:
    network = OpenVinoNetwork(openvino.Core(), models.FOLDER / "pnet.onnx", threads=1)

    def resident_mb_after(shapes: Iterable[tuple[int, int]]) -> int:
        for height, width in shapes:
            network(np.zeros((1, 3, height, width), np.float32))
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096 // 2**20

    before = resident_mb_after(itertools.product(range(100, 120), range(100, 120)))
    after = resident_mb_after(itertools.product(range(120, 150), range(100, 140)))
    assert after - before < 50  # 1,200 new shapes; unbounded, they keep 300 MB


@pytest.mark.parametrize("content", [None, b"", b"not a network"], ids=["none", "empty", "junk"])
def test_a_missing_or_broken_model_file_is_named(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    path = tmp_path / "pnet.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError) as refused:
        create_engine(DEFAULT, threads=1)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_openvino_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "fer_worker.inference.openvino_engine")
    with pytest.raises(EngineError, match="OpenVINO"):
        create_engine(DEFAULT, threads=1)
