"""The fer engine without the library: errors, and threads. What it answers: test_reference.py."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_client.errors import EngineError
from fer_worker.inference.factory import create_engine
from fer_worker.inference.types import EngineOptions, Percent


@pytest.mark.parametrize("library", ["facenet_pytorch", "torch", "fer"])
def test_a_missing_library_is_named_with_what_to_install(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("facenet_pytorch", "torch", "fer", "fer.fer"):
        monkeypatch.setitem(sys.modules, module, type(sys)(module))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EngineError, match=rf"{library}.*pip install ./client '\.\[fer\]'"):
        create_engine(EngineOptions.as_fer("fer"))


def test_a_crop_that_fer_cannot_do_is_refused() -> None:
    with pytest.raises(EngineError, match="--compat fer"):
        create_engine(EngineOptions("fer", crop="aligned"))


@pytest.mark.parametrize("more", [{"views": 2}, {"views": 6}])
def test_alignment_and_views_that_fer_cannot_do_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="--compat fer"):
        create_engine(replace(EngineOptions.as_fer("fer"), **more))


class TwoAtOnce:
    """An MTCNN that reads its size as facenet-pytorch does, with two threads in `detect`."""

    def __init__(self) -> None:
        self.min_face_size = 20
        self.seen: dict[int, int] = {}
        """Size looked for, by the width of the frame."""
        self._both = threading.Barrier(2)

    def detect(self, image: NDArray[np.uint8]) -> tuple[None, list[None]]:
        self._both.wait(timeout=10)
        self.seen[image.shape[1]] = self.min_face_size
        self._both.wait(timeout=10)
        return None, [None]


def test_two_frames_at_once_have_each_its_own_size_of_a_face(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    modules = {name: type(sys)(name) for name in ("facenet_pytorch", "torch", "fer", "fer.fer")}
    mtcnn = TwoAtOnce()
    nobody = {"_mtcnn": mtcnn, "detect_emotions": lambda self, image, boxes: []}
    library = type("Library", (), nobody)()
    vars(modules["torch"])["set_num_threads"] = lambda count: None
    vars(modules["fer.fer"])["FER"] = lambda **options: library
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    engine = create_engine(replace(EngineOptions.as_fer("fer"), min_face_size=Percent("10%")))
    frames = [np.zeros((side, side, 3), np.uint8) for side in (200, 400)]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            list(pool.map(lambda frame: engine.analyze(frame, "all"), frames))
            assert mtcnn.seen == {200: 20, 400: 40}
            mtcnn.seen.clear()
