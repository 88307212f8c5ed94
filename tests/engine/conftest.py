"""Pictures and engines for the tests of engines."""

from collections.abc import Callable
from functools import cache, partial

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fer_worker.inference.factory import create_engine
from fer_worker.inference.native.kernels import choose_kernel
from fer_worker.inference.types import Engine, EngineOptions
from tests.engine.golden import FRAMES, OWN_GOLDEN, read_golden, read_picture

Views = Callable[[int], list[NDArray[np.uint8]]]


@pytest.fixture(scope="session")
def engine_of() -> Callable[[EngineOptions], Engine]:
    """Engines, each set of options loaded once."""
    return cache(partial(create_engine, kernel=choose_kernel()))


@pytest.fixture(scope="session")
def views() -> Views:
    """As many views of the sample frames as asked for, the same every time.

    Cut, mirrored and scaled, no two alike, 100 to 300 px long, most with a face.
    """
    photographs = [read_picture(FRAMES / name) for name in read_golden(OWN_GOLDEN)]

    def view(number: int) -> NDArray[np.uint8]:
        chance = np.random.default_rng(number)
        image = photographs[number % len(photographs)]
        height, width = (int(side * chance.uniform(0.7, 1)) for side in image.shape[:2])
        top = chance.integers(image.shape[0] - height + 1)
        left = chance.integers(image.shape[1] - width + 1)
        image = image[top : top + height, left : left + width]
        if chance.random() < 0.5:
            image = image[:, ::-1]
        scale = chance.uniform(100, 300) / max(height, width)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(small, dtype=np.uint8)

    return lambda count: [view(number) for number in range(count)]
