from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from fer_worker.quantiles import percentile
from fer_worker.tools.loadtest.measurement import (
    ClosedLoop,
    OpenLoop,
    Sample,
    Step,
    Window,
    is_silent,
    is_stable,
    merge,
)


def sample(latency: float = 100.0, **fields: Any) -> Sample:
    """A batch of 4 frames: 60 ms in the worker, 28 of them working."""
    stages = {"client": 1.0, "queued": 9.0, "worker": 60.0}
    work = {"decode": 4.0, "detect": 20.0, "classify": 4.0}
    return Sample(**{"frames": 4, "process": "h/1", "latency": latency, **stages, **work, **fields})


def window(batches: int, latency: float = 100.0, failed: int = 0) -> Window:
    """A window of one second."""
    return Window(1.0, [sample(latency)] * batches, batches + failed)


def step(windows: Sequence[Window]) -> Step:
    return Step(ClosedLoop(1), len(windows), True, merge(windows), Counter())


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50), (90, 90), (95, 95), (99, 99), (100, 100), (0.1, 1)]
)
def test_percentile_is_one_of_the_samples_by_nearest_rank(percent: float, expected: float) -> None:
    assert percentile(range(100, 0, -1), percent) == expected


def test_percentiles_of_few_samples_are_the_largest_and_of_none_nothing() -> None:
    assert percentile([3, 1, 2], 95) == 3
    assert percentile([1, 2], 50) == 1
    assert percentile([], 95) is None


def test_stages_of_a_batch_add_up_to_its_latency() -> None:
    batch = sample(latency=100.0)
    assert batch.client + batch.queued + batch.worker + batch.publish == batch.latency
    assert batch.publish == 30
    assert batch.wait == 60 - 28


def test_nothing_waits_where_frames_side_by_side_are_more_work_than_time() -> None:
    assert sample(decode=40.0, detect=70.0).wait == 0


def test_rates_are_of_batches_analysed_in_full() -> None:
    half = Window(0.5, [sample()] * 3, ended=5)
    assert (half.batches_per_s, half.frames_per_s) == (6, 24)
    assert (Window().batches_per_s, Window().frames_per_s) == (0, 0)


def test_figures_of_a_window_without_samples_are_none() -> None:
    assert Window(1.0).percentile(50) is None
    assert Window(1.0).mean("latency") is None


def test_windows_merge_into_one() -> None:
    merged = merge([window(2, 10.0), window(1, 40.0, failed=3)])
    assert (merged.seconds, len(merged.samples), merged.ended) == (2.0, 3, 6)
    assert merged.mean("latency") == 20


def test_three_windows_that_agree_are_stable_whatever_came_before() -> None:
    windows = [window(50, 900.0), window(10, 100.0), window(11, 104.0), window(10, 96.0)]
    assert is_stable(windows, ClosedLoop(1), 0.1)
    assert not is_stable(windows[:3], ClosedLoop(1), 0.1)


def test_two_windows_are_never_stable() -> None:
    assert not is_stable([window(10)] * 2, ClosedLoop(1), 0.1)
    assert not is_stable([], ClosedLoop(1), 0.1)


def test_windows_whose_throughput_differs_are_not_stable() -> None:
    assert not is_stable([window(10), window(10), window(13)], ClosedLoop(1), 0.1)
    assert is_stable([window(10), window(10), window(13)], ClosedLoop(1), 0.25)


def test_windows_whose_p95_differs_are_not_stable() -> None:
    assert not is_stable([window(10), window(10), window(10, 140.0)], ClosedLoop(1), 0.1)


def test_window_without_an_answer_is_not_stable() -> None:
    assert not is_stable([window(10), window(10), window(0)], ClosedLoop(1), 10)


def test_rate_that_is_not_kept_is_not_stable_however_alike_the_windows_are() -> None:
    alike = [window(10)] * 3
    assert is_stable(alike, OpenLoop(11), 0.1)
    assert not is_stable(alike, OpenLoop(12), 0.1)


def test_batches_that_fail_keep_the_rate() -> None:
    assert is_stable([window(10, failed=2)] * 3, OpenLoop(12), 0.1)


def test_three_windows_without_a_sample_are_silent() -> None:
    assert is_silent([window(5), *[window(0, failed=1)] * 3])
    assert not is_silent([window(0)] * 2)
    assert not is_silent([window(0), window(0), window(1)])


def test_processes_are_those_that_answered() -> None:
    samples = [sample(process="h/1"), sample(process="h/2"), sample(process="h/1")]
    assert step([Window(1.0, samples, 3)]).processes == 2


@pytest.mark.parametrize(
    ("fields", "differ"),
    [({}, False), ({"queued": 60.0}, True), ({"queued": 0.0}, True)],
    ids=["in step", "the worker's is ahead", "the worker's is behind"],
)
def test_clocks_that_differ_are_seen(fields: dict[str, float], differ: bool) -> None:
    assert step([Window(1.0, [sample(**fields)], 1)]).clocks_differ is differ


def test_clocks_of_nobody_do_not_differ() -> None:
    assert not step([Window(1.0)]).clocks_differ
