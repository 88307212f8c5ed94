import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import to_json

from fer_worker.metrics import (
    BUCKETS_S,
    STAGES,
    Histogram,
    MetricsRecorder,
    MetricsSnapshot,
    SlidingWindow,
)
from fer_worker.platform import system
from fer_worker.serving.progress import Progress
from fer_worker.supervision.messages import CHILD_MESSAGE, Report

SECONDS = st.floats(0, 100, allow_nan=False)


def histogram(*durations_s: float) -> Histogram:
    meter = MetricsRecorder()
    for seconds in durations_s:
        meter.answered("success", queued_s=None, publish_s=0.0, took_s=seconds)
    return meter.counts.took


@given(st.lists(SECONDS), st.lists(SECONDS))
def test_histograms_add_up_and_tell_what_came_later(
    earlier: list[float], later: list[float]
) -> None:
    both = histogram(*earlier, *later)
    assert (histogram(*earlier) + histogram(*later)).counts == both.counts
    assert (both - histogram(*earlier)).counts == histogram(*later).counts
    assert both.count == len(earlier) + len(later)
    assert both.sum_s == pytest.approx(sum(earlier) + sum(later))


@given(st.lists(st.floats(0, BUCKETS_S[-1]), min_size=1), st.floats(0.01, 1))
def test_quantile_lies_in_the_bucket_of_the_exact_one(durations: list[float], share: float) -> None:
    found = histogram(*durations).quantile(share)
    exact = sorted(durations)[max(0, -(-share * len(durations) // 1).__int__() - 1)]
    upper = next(bound for bound in BUCKETS_S if bound >= exact)
    lower = max((bound for bound in BUCKETS_S if bound < exact), default=0.0)
    assert found is not None
    assert lower <= found <= upper


def test_quantile_is_interpolated_within_its_bucket_and_bounded_by_the_last() -> None:
    assert histogram(*[0.015] * 4).quantile(0.5) == pytest.approx(0.0125)
    assert histogram(100.0).quantile(0.5) == BUCKETS_S[-1]
    assert histogram().quantile(0.5) is None


def test_a_duration_on_a_bound_is_within_it() -> None:
    counts = histogram(0.002).counts
    assert counts.index(1) == BUCKETS_S.index(0.002)


def test_a_meter_counts_for_many_threads() -> None:
    meter = MetricsRecorder()

    def work() -> None:
        for _ in range(1000):
            meter.frame(2, decode_s=0.001, detect_s=0.01, classify_s=0.002)
            meter.answered("success", queued_s=0.001, publish_s=0.001, took_s=0.02)
            meter.dead_lettered("malformed_body")
            meter.worked(0.5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = meter.counts
    assert counts.totals == {"frames": 4000, "faces": 8000}
    assert counts.requests == {"success": 4000, "dead_lettered": 4000}
    assert counts.dead_lettered == {"malformed_body": 4000}
    assert {counts.stages[stage].count for stage in STAGES} == {4000}
    assert counts.busy_s == 2000


def test_counts_are_a_snapshot() -> None:
    meter = MetricsRecorder()
    before = meter.counts
    meter.add("faces", 3)
    assert before == MetricsSnapshot()
    assert (meter.counts - before).totals == {"faces": 3}


def frames(number: int) -> MetricsSnapshot:
    meter = MetricsRecorder()
    meter.add("frames", number)
    return meter.counts


@pytest.mark.parametrize(
    "spoil",
    [
        lambda counts: counts["stages"].clear(),
        lambda counts: counts["stages"].pop("decode"),
        lambda counts: counts["stages"].update(another=counts["took"]),
        lambda counts: counts["took"]["counts"].pop(),
        lambda counts: counts["took"]["counts"].append(0),
        lambda counts: counts["stages"]["decode"]["counts"].clear(),
    ],
)
def test_report_whose_counts_cannot_be_added_up_is_no_message(
    spoil: Callable[[dict[str, Any]], object],
) -> None:
    report = Report(Progress(), frames(3), resident_bytes=1)
    said = CHILD_MESSAGE.dump_python(report, mode="json")
    assert CHILD_MESSAGE.validate_json(to_json(said)) == report
    spoil(said["counts"])
    with pytest.raises(ValidationError):
        CHILD_MESSAGE.validate_json(to_json(said))


def test_recent_tells_what_came_within_the_last_seconds() -> None:
    recent = SlidingWindow()
    for second in range(300):
        recent.add(float(second), frames(10 * second))
    for span_s in (5.0, 60.0):
        counts, seconds = recent.over(span_s)
        assert (counts.totals["frames"], seconds) == (10 * span_s, span_s)


def test_recent_of_a_young_process_says_how_long_it_has_looked() -> None:
    recent = SlidingWindow()
    assert recent.over() == (MetricsSnapshot(), 0.0)
    recent.add(100.0, frames(0))
    recent.add(102.0, frames(4))
    counts, seconds = recent.over()
    assert (counts.totals["frames"], seconds) == (4, 2.0)


def test_recent_keeps_a_look_a_second_however_many_there_are() -> None:
    recent = SlidingWindow()
    for look in range(100_000):
        recent.add(look / 100, frames(look))
    assert len(recent._looks) <= SlidingWindow.SPAN_S + 2
    counts, seconds = recent.over(10.0)
    assert counts.totals["frames"] / seconds == pytest.approx(100, rel=0.01)


def test_resident_memory_of_this_process_is_known() -> None:
    assert system.resident_bytes() > 2**20
