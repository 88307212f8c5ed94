import random

import pytest

from fer_schemas import Emotion
from fer_worker.tools.html_report.charts import HEIGHT, course, histogram
from fer_worker.tools.html_report.labels import between, duration, period, place, stretch
from fer_worker.tools.html_report.series import Axis
from tests.face_rows import at_second, face_row, row
from tests.unit.test_report_summary import only_series


def test_bands_are_stacked_to_the_top_and_stop_where_no_face_is() -> None:
    drawn = course(
        only_series(
            [
                face_row(0, "happy", 0.75),
                face_row(1, "happy", 0.5),
                row(2),
                row(3, error="broken_jpeg"),
                face_row(4, "angry", 1.0),
            ]
        )
    )
    assert drawn.bins == 5
    # From the bottom up: neutral (0.25, then 0.5), and on it happy up to the top.
    assert drawn.bands == {
        Emotion.NEUTRAL: "M0 100V75H1V50H2V100H1V100H0Z",
        Emotion.HAPPY: "M0 75V0H1V0H2V50H1V75H0Z",
        Emotion.ANGRY: "M4 100V0H5V100H4Z",
    }
    assert drawn.outline == f"M0 0H2V{HEIGHT}H0ZM4 0H5V{HEIGHT}H4Z"
    assert list(drawn.frames) == ["with a face", "without a face", "failed"]
    assert drawn.frames["failed"].startswith("M3.")


def test_frames_of_a_bin_are_bars_as_high_as_they_are_many() -> None:
    times = [(0.0, 1), (0.1, 0), (0.2, 0), (0.3, 0), (1.0, 1), (1.1, 1)]
    rows = [
        (face_row if is_face else row)(n, position_s=second)
        for n, (second, is_face) in enumerate(times)
    ]
    drawn = course(only_series(rows))
    assert drawn.most_frames == 2
    assert drawn.steps == "in steps of 0.2 s"
    frames = [(column.x, column.counts.frames) for column in drawn.columns]
    assert frames == [(0, 2), (1, 2), (5, 2)]
    assert drawn.frames["with a face"] == "M0.06 100.0v-50.0h.88v50.0zM5.06 100.0v-100.0h.88v100.0z"
    assert (
        drawn.frames["without a face"] == "M0.06 50.0v-50.0h.88v50.0zM1.06 100.0v-100.0h.88v100.0z"
    )


def test_ticks_of_an_axis_are_round_times_within_it() -> None:
    series = only_series(face_row(n, captured_at=at_second(n * 60 + 7)) for n in range(60))
    drawn = course(series)
    assert [tick.text for tick in drawn.ticks] == [
        "10:00", "10:10", "10:20", "10:30", "10:40", "10:50", "11:00"
    ]  # fmt: skip
    assert (drawn.ticks[0].percent, drawn.ticks[-1].percent) == (0, 100)


def test_midnight_is_called_by_its_date() -> None:
    hours = [face_row(n, captured_at=at_second(n * 3600)) for n in range(30)]
    assert "24 Nov" in [tick.text for tick in course(only_series(hours)).ticks]


def test_histogram_counts_every_batch_once() -> None:
    rng = random.Random(7)
    values = [rng.lognormvariate(4, 0.5) for _ in range(5000)]
    drawn = histogram(values)
    assert sum(number for _, number in drawn.bars) == len(values)
    assert drawn.most == max(number for _, number in drawn.bars)
    assert 15 <= len(drawn.bars) <= 35
    assert [mark.text for mark in drawn.marks] == ["p50", "p95"]


def test_one_slow_batch_does_not_press_the_others_into_one_bar() -> None:
    drawn = histogram([*(10.0 + n / 10 for n in range(200)), 60_000.0])
    *inner, (name, beyond) = drawn.bars
    assert (name, beyond) == ("30 ms and more", 1)
    assert len(inner) == 20


@pytest.mark.parametrize("values", [[12.5], [0.0], [8.0] * 50, [-3.0, 4.0], [1e9]])
def test_histogram_of_few_or_equal_values(values: list[float]) -> None:
    drawn = histogram(values)
    assert sum(number for _, number in drawn.bars) == len(values)
    assert all(0 <= mark.percent <= 100 for mark in drawn.marks)


@pytest.mark.parametrize(
    ("axis", "start", "width", "text"),
    [
        (Axis.ORDER, 3, 1, "frame 3"),
        (Axis.ORDER, 10, 5, "frames 10 to 14"),
        (Axis.CLIP, 61_400, 200, "1:01.4 to 1:01.6"),
        (Axis.CLIP, 3_720_000, 60_000, "1:02:00 to 1:03:00"),
        (Axis.CLOCK, 1_795_514_400_000, 1000, "2026-11-24 10:00:00 to 10:00:01"),
        (Axis.CLOCK, 1_795_514_400_000, 300_000, "2026-11-24 10:00 to 10:05"),
        (Axis.CLOCK, 1_795_478_400_000, 86_400_000, "2026-11-24 00:00 to 2026-11-25 00:00"),
    ],
)
def test_stretch_of_an_axis_in_words(axis: Axis, start: int, width: int, text: str) -> None:
    assert stretch(axis, start, width) == text


def test_period_and_places_say_the_date_where_it_is_needed() -> None:
    clip = only_series([face_row(0, position_s=0.0), face_row(1, position_s=75.25)])
    assert period(clip) == "0:00.0 to 1:15.2 of the clip"
    assert place(clip, 1500) == "0:01.5"
    day = only_series(
        [face_row(0, captured_at=at_second(0)), face_row(1, captured_at=at_second(9))]
    )
    assert period(day) == "2026-11-23 10:00:00 to 10:00:09 UTC"
    assert place(day, day.end) == "10:00:09"
    days = only_series(
        [face_row(0, captured_at=at_second(0)), face_row(1, captured_at=at_second(86_400))]
    )
    assert period(days) == "2026-11-23 10:00:00 to 2026-11-24 10:00:00 UTC"
    assert place(days, days.end) == "2026-11-24 10:00:00"


def test_times_at_the_ends_of_the_calendar_have_names() -> None:
    assert between(-(10**17), 10**17) == "0001-01-02 00:00:00 to 9999-12-31 00:00:00 UTC"
    assert duration(86_400_000 * 3) == "3 d"
