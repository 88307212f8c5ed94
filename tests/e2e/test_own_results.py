"""Never another frame's emotion: every result against the serial answer of its own frames."""

import random

import cv2
import numpy as np
import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import Frame, FrameResult
from fer_worker.inference.factory import create_engine
from fer_worker.inference.types import EngineOptions
from fer_worker.limits import FrameLimits
from fer_worker.serving.frame_analysis import analyze_frame
from tests.frames import sample
from tests.serving import serving

pytestmark = pytest.mark.broker

BATCHES = 100
FRAMES = 64
"""In every tenth batch; the others have a few."""


def variants(count: int, seed: int) -> list[bytes]:
    """Small pictures of two faces, each a little different: moved, scaled, lighter or darker."""
    rng = random.Random(seed)
    pictures = [
        cv2.imdecode(np.frombuffer(sample(name), np.uint8), cv2.IMREAD_COLOR)
        for name in ("burst-4", "grace_hopper", "burst-1")
    ]
    made = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        assert picture is not None
        height, width = picture.shape[:2]
        top, left = rng.randrange(height // 6), rng.randrange(width // 6)
        cut = picture[top:, left : left + height]
        small = cv2.resize(cut, (rng.randrange(60, 90), rng.randrange(60, 90)))
        lit = cv2.convertScaleAbs(small, alpha=rng.uniform(0.7, 1.2), beta=rng.randrange(20))
        made.append(cv2.imencode(".jpg", lit)[1].tobytes())
    return made


def test_every_result_belongs_to_its_own_request(broker: BrokerConfig) -> None:
    engine = create_engine(EngineOptions())
    jpegs = variants(96, seed=1)
    serial: list[FrameResult] = [
        analyze_frame(engine, Frame(jpeg=jpeg, id=str(number)), 0, "first", FrameLimits()).frame
        for number, jpeg in enumerate(jpegs)
    ]
    assert len({repr(frame.faces) for frame in serial}) > 60  # they can be told apart
    rng = random.Random(2)
    sizes = [FRAMES if number % 10 == 0 else rng.randint(1, 8) for number in range(BATCHES)]
    picks = [[rng.randrange(len(jpegs)) for _ in range(size)] for size in sizes]
    with serving(broker, engine, threads=4, prefetch=BATCHES), FerClient(broker) as client:
        futures = [
            client.submit([Frame(jpeg=jpegs[number], id=str(number)) for number in pick])
            for pick in picks
        ]
        results = [future.result(300) for future in futures]
    for pick, result in zip(picks, results, strict=True):
        assert list(result.frames) == [serial[number] for number in pick]
