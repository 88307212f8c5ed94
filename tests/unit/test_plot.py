from collections import Counter
from pathlib import Path

import cv2
import pytest

from fer_worker.tools.loadtest.measurement import STAGES, ClosedLoop, OpenLoop, Sample, Step, Window
from fer_worker.tools.loadtest.plot import draw, side_by_side
from tests.unit.test_windows import sample


def step(number: int, *samples: Sample, stable: bool = True) -> Step:
    return Step(ClosedLoop(number), 3, stable, Window(1.0, list(samples), len(samples)), Counter())


@pytest.mark.parametrize(
    "window",
    [
        Window(1.0, [sample()], 1),
        Window(1.0, [sample(detect=200.0), sample(90.0)], 2),
        Window(1.0, [sample(decode=0.0, detect=0.0, classify=0.0)], 1),
    ],
    ids=["one after the other", "side by side", "no work"],
)
def test_drawn_stages_add_up_to_the_mean_latency(window: Window) -> None:
    stages = side_by_side(window)
    assert tuple(stages) == STAGES
    assert sum(stages.values()) == pytest.approx(window.mean("latency"))


def test_picture_is_a_png_of_all_steps(tmp_path: Path) -> None:
    path = tmp_path / "latency"
    clocks_differ, silent = step(4, sample(queued=99.0)), step(8)
    steps = [step(1, sample()), step(2, sample(150.0), stable=False), clocks_differ, silent]
    draw(steps, "bench", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape == (576, 1728, 3)


def test_one_step_is_enough_for_a_picture(tmp_path: Path) -> None:
    rated = Step(OpenLoop(2.5), 3, True, Window(1.0, [sample()], 1), Counter())
    draw([rated], "bench", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_place_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        draw([step(1, sample())], "bench", tmp_path / "nowhere" / "a.png")
