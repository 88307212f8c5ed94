"""By default no face is missed that fer finds, of those that can be seen in the pictures."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.detection import KNOWN_FACES, read_known
from benchmarks.variants import matches
from fer_worker.inference.types import Box, Engine, EngineOptions
from tests.engine.golden import FRAMES, OWN_GOLDEN, Golden, pictures, read_golden

EngineOf = Callable[[EngineOptions], Engine]

KNOWN = read_known(KNOWN_FACES)


def assert_none_is_missed_that_fer_finds(
    engine: Engine, golden: Golden, folder: Path, subtests: pytest.Subtests
) -> int:
    """Returns how many more faces are found than fer finds."""
    more = 0
    for name, image, frame in pictures(golden, folder):
        with subtests.test(picture=name):
            found = matches(KNOWN[name], [face.box for face in engine.analyze(image, "all").faces])
            of_fer = matches(KNOWN[name], [Box(*face["box"]) for face in frame["bgr"]])
            assert set(of_fer) <= set(found)
            more += len(found) - len(of_fer)
    return more


def test_on_sample_frames(engine_of: EngineOf, subtests: pytest.Subtests) -> None:
    engine = engine_of(EngineOptions(faces="all"))
    assert_none_is_missed_that_fer_finds(engine, read_golden(OWN_GOLDEN), FRAMES, subtests)


def test_on_photographs_and_more_are_found(
    engine_of: EngineOf, shared: Path, subtests: pytest.Subtests
) -> None:
    engine = engine_of(EngineOptions(faces="all"))
    golden = read_golden(shared / "golden_fer.json")
    assert assert_none_is_missed_that_fer_finds(engine, golden, shared / "photos", subtests) > 0
