"""The compiled networks, with each instruction set of this CPU, against numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_client.errors import EngineError
from fer_worker.inference.factory import create_engine
from fer_worker.inference.mtcnn.pyramid import Level, Picture, Window
from fer_worker.inference.native import kernels
from fer_worker.inference.native.library import Library
from fer_worker.inference.native.operations import NativeOps
from fer_worker.inference.types import EngineOptions
from fer_worker.inference.weights import FILE, read_weights
from tests.engine.conftest import Views
from tests.numpy_networks import NumpyOps, emotion_scores, numpy_ops

Image = NDArray[np.uint8]
WEIGHTS = read_weights(FILE)


MARGIN = 0.25
"""See mtcnn.hpp: so far a guess may be off before the answer is another one."""


def surplus(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """log(p / (1 - p))"""
    exact = scores.astype(np.float64)
    odds: NDArray[np.float64] = np.log(exact / (1 - exact))
    return odds


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="session")
def on_numpy() -> NumpyOps:
    return numpy_ops(WEIGHTS)


def compiled_with(kernel: str) -> NativeOps:
    return NativeOps(Library(kernel), WEIGHTS)


@pytest.fixture(scope="session", params=["amx_bf16", "avx512_bf16", "avx512", "avx2", "baseline"])
def compiled(request: pytest.FixtureRequest) -> NativeOps:
    try:
        return compiled_with(request.param)
    except EngineError:
        pytest.skip(f"this CPU has no {request.param}")


def test_a_kernel_of_this_cpu_is_chosen(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        chosen = kernels.choose_kernel()
    assert Library(chosen)
    (said,) = caplog.messages
    assert f"{chosen} " in said


def test_the_environment_chooses_before_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_WORKER_KERNEL", "baseline")
    assert kernels.choose_kernel() == "baseline"
    monkeypatch.setenv("FER_WORKER_KERNEL", "abacus")
    with pytest.raises(EngineError, match=r"no kernel 'abacus' for this CPU, but .*baseline"):
        create_engine(EngineOptions())


@given(st.integers(12, 90), st.integers(12, 90), st.sampled_from([1.0, 0.77, 0.6, 0.31]), st.data())
@settings(deadline=None, max_examples=150)
def test_cells_of_a_window_are_those_of_numpy(
    compiled: NativeOps,
    on_numpy: NumpyOps,
    height: int,
    width: int,
    scale: float,
    data: st.DataObject,
) -> None:
    picture = Picture(noise(round(height / scale), round(width / scale)))
    columns, rows = picture.level_size(scale)
    left, top = (data.draw(st.integers(0, (side - 12) // 2)) * 2 for side in (columns, rows))
    window = Window(left, top, columns, rows)
    if data.draw(st.booleans()):  # one that ends within the level, after even numbers of pixels
        window = Window(left, top, left + (columns - left) // 2 * 2, top + (rows - top) // 2 * 2)
    expected = on_numpy.cells(picture, [Level(scale, window)], 1e-12)
    cells = compiled.cells(picture, [Level(scale, window)], 1e-12)
    assert np.array_equal(cells.corners, expected.corners)
    np.testing.assert_allclose(cells.scores, expected.scores, atol=5e-6)
    np.testing.assert_allclose(cells.regressions, expected.regressions, atol=2e-6)


def test_cells_of_photographs_are_those_of_numpy(
    compiled: NativeOps, on_numpy: NumpyOps, views: Views
) -> None:
    found = 0
    for image in views(12):
        picture = Picture(image)
        for scale in (0.6, 0.3):
            window = Window(0, 0, *picture.level_size(scale))
            expected = on_numpy.cells(picture, [Level(scale, window)], 0.6)
            cells = compiled.cells(picture, [Level(scale, window)], 0.6)
            assert np.array_equal(cells.corners, expected.corners)
            np.testing.assert_allclose(cells.scores, expected.scores, atol=5e-6)
            np.testing.assert_allclose(cells.regressions, expected.regressions, atol=2e-6)
            found += len(cells.scores)
    assert found > 100


def test_levels_together_are_what_each_is_alone(compiled: NativeOps, views: Views) -> None:
    for image in views(2):
        # Of several strips: 88 rows at this width.
        picture = Picture(np.tile(image, (6, 12, 1))[:500, :1000])
        levels = [Level(s, Window(0, 0, *picture.level_size(s))) for s in (0.6, 0.3, 0.05)]
        levels.insert(2, Level(0.5, Window(2, 120, 66, 180)))
        together = compiled.cells(picture, levels, 0.3)
        for number, level in enumerate(levels):
            alone, of_it = compiled.cells(picture, [level], 0.3), together.levels == number
            assert np.array_equal(together.corners[of_it], alone.corners)
            assert np.array_equal(together.scores[of_it], alone.scores)
            assert np.array_equal(together.regressions[of_it], alone.regressions)
        assert np.array_equal(together.levels, np.sort(together.levels))
        assert len(set(together.levels)) > 2


@pytest.mark.parametrize("kernel", ["avx512_bf16", "amx_bf16"])
def test_guesses_in_bfloat16_decide_nothing(views: Views, kernel: str) -> None:
    try:
        guessing, exact = (compiled_with(name) for name in (kernel, "avx512"))
    except EngineError:
        pytest.skip(f"this CPU has no {kernel}")
    seen = 0
    for image in views(40):
        picture = Picture(image)
        for scale in (0.6, 0.43, 0.3, 0.15):
            window = Window(0, 0, *picture.level_size(scale))
            guessed, expected = (
                one.cells(picture, [Level(scale, window)], 0.6) for one in (guessing, exact)
            )
            assert np.array_equal(guessed.corners, expected.corners)
            assert np.array_equal(guessed.scores, expected.scores)
            assert np.array_equal(guessed.regressions, expected.regressions)
            first = np.floor(expected.corners / scale).astype(np.int32)
            last = np.minimum(first + round(12 / scale), (picture.width, picture.height))
            corners = np.hstack([first, last]).astype(np.int32)
            if len(corners):
                guess, truth = (one.refine(picture, corners, 0.7) for one in (guessing, exact))
                over = truth.scores > 0.7
                assert np.array_equal(guess.scores > 0.7, over)
                assert np.array_equal(guess.scores[over], truth.scores[over])
                assert np.array_equal(guess.regressions[over], truth.regressions[over])
                seen += int(over.sum())
                alone = guessing.refine(picture, corners, 1 - 1e-12)  # nothing is looked at again
                near = abs(surplus(truth.scores)) < 6
                off = abs(surplus(alone.scores) - surplus(truth.scores))[near]
                assert off.max(initial=0) < MARGIN / 2
    assert seen > 100


@given(st.integers(0, 60), st.integers(0, 2**32), st.sampled_from([0.5, 0.7]))
@settings(deadline=None)
def test_suppression_keeps_what_numpys_keeps(
    compiled: NativeOps, on_numpy: NumpyOps, count: int, seed: int, threshold: float
) -> None:
    chance = np.random.default_rng(seed)
    corners = chance.uniform(-20, 40, (count, 2))
    boxes = np.hstack([corners, corners + chance.uniform(0, 50, (count, 2))]).astype(np.float32)
    scores = chance.choice(max(1, count // 2), count).astype(np.float32)  # some are equal
    for suppress in ("suppress_by_union", "suppress_by_minimum"):
        kept = getattr(compiled, suppress)(boxes, scores, threshold)
        assert kept.tolist() == getattr(on_numpy, suppress)(boxes, scores, threshold).tolist()


def test_an_order_that_is_none_never_reaches_the_compiled_code() -> None:
    library = Library("baseline")
    boxes = np.zeros((3, 4), np.float32)
    for order in ([0, 1], [0, 1, 3], [0, 1, -1], [2**40, 1, 2]):
        with pytest.raises(ValueError, match="order"):
            library.suppress(boxes, np.array(order), 0.5, pixel=0, by_minimum=False)
    with pytest.raises(ValueError, match="finite"):
        library.suppress(boxes * np.nan, np.arange(3), 0.5, pixel=0, by_minimum=False)


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 37])
def test_candidates_get_the_scores_of_numpy_however_many(
    compiled: NativeOps, on_numpy: NumpyOps, views: Views, count: int
) -> None:
    chance = np.random.default_rng(count)
    for image in views(6):
        picture = Picture(image)
        size = (picture.width, picture.height)
        first = chance.integers(0, size, (count, 2))
        last = chance.integers(first, size) + 1
        corners = np.hstack([first, last]).astype(np.int32)
        corners[0] = (0, 0, *size)
        for ask in ("refine", "output"):
            expected = getattr(on_numpy, ask)(picture, corners, 1e-12)
            answers = getattr(compiled, ask)(picture, corners, 1e-12)
            np.testing.assert_allclose(answers.scores, expected.scores, atol=5e-6)
            np.testing.assert_allclose(answers.regressions, expected.regressions, atol=5e-6)
            np.testing.assert_allclose(answers.landmarks, expected.landmarks, atol=5e-6)
            assert answers.landmarks.shape == (count, 10 if ask == "output" else 0)
            alone = getattr(compiled, ask)(picture, corners[-1:], 1e-12)
            assert np.array_equal(alone.scores, answers.scores[-1:])
            assert np.array_equal(alone.regressions, answers.regressions[-1:])
            assert np.array_equal(alone.landmarks, answers.landmarks[-1:])


def test_sums_of_large_and_tall_rectangles_are_exact(
    compiled: NativeOps, on_numpy: NumpyOps
) -> None:
    """Of 6,500 rows each of the 24 takes in 271, white ones: more than 16 bits can count."""
    picture = Picture(np.full((6500, 3000, 3), 255, np.uint8))
    picture.pixels[::3, ::5] = 7
    corners = np.array([[0, 0, 3000, 6500], [0, 0, 9, 6500], [2900, 6400, 3000, 6500]], np.int32)
    expected, answers = (one.refine(picture, corners, 1e-12) for one in (on_numpy, compiled))
    np.testing.assert_allclose(answers.scores, expected.scores, atol=2e-6)


def test_what_does_not_lie_in_the_picture_never_reaches_the_compiled_code(
    compiled: NativeOps,
) -> None:
    picture = Picture(noise(50, 60))
    for corner in ([0, 0, 61, 50], [0, 0, 60, 51], [-1, 0, 9, 9], [5, 5, 5, 9], [9, 9, 5, 12]):
        with pytest.raises(ValueError, match="in "):
            compiled.refine(picture, np.array([corner], np.int32), 0.7)
    for window in (Window(0, 0, 10, 30), Window(0, 0, 38, 30), Window(-2, 0, 30, 30)):
        with pytest.raises(ValueError, match="in "):
            compiled.cells(picture, [Level(0.6, window)], 0.6)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_faces_get_the_scores_of_numpy_however_many(compiled: NativeOps, count: int) -> None:
    faces = np.random.default_rng(count).uniform(-1, 1, (count, 64, 64)).astype(np.float32)
    faces[-1] = 1  # a white one
    scores = compiled.emotions(faces)
    assert scores.shape == (count, 7)
    np.testing.assert_allclose(scores, emotion_scores(WEIGHTS["emotion"], faces), atol=5e-6)
    assert np.array_equal(compiled.emotions(faces[-1:]), scores[-1:])


@pytest.mark.parametrize("shape", [(1, 64, 63), (2, 48, 48), (64, 64)])
def test_faces_of_another_size_never_reach_the_compiled_code(
    compiled: NativeOps, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="64 x 64"):
        compiled.emotions(np.zeros(shape, np.float32))


def test_without_compiled_code_the_engine_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "LIBRARY_NAMES", ("none.so",))
    with pytest.raises(EngineError, match="compiled code is missing"):
        create_engine(EngineOptions())
