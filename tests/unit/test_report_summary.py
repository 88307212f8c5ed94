from collections.abc import Iterable
from typing import Any

import pytest

from fer_schemas import Emotion
from fer_worker.tools.face_table import Row
from fer_worker.tools.html_report.series import Axis, Series, SeriesKey
from fer_worker.tools.html_report.summary import MAX_SERIES, Summary
from tests.face_rows import at_second, face_row, row


def summary_of(*rows: Row) -> Summary:
    summary = Summary()
    summary.add(rows)
    return summary


def only_series(rows: Iterable[Row]) -> Series:
    (series,) = summary_of(*rows).series.values()
    return series


def test_frame_with_several_faces_is_one_frame() -> None:
    total = summary_of(
        face_row(0, faces=2),
        face_row(0, face=1, faces=2, emotion="sad"),
        row(1),
        row(2, error="broken_jpeg"),
    ).total()
    assert (total.frames, total.with_face, total.without_face, total.failed) == (3, 1, 1, 1)
    assert total.faces == 2
    counts = dict(zip(Emotion, total.dominant, strict=True))
    assert {emotion: n for emotion, n in counts.items() if n} == {"happy": 1, "sad": 1}


def test_mean_scores_are_those_of_the_faces_and_add_up_to_one() -> None:
    total = summary_of(
        face_row(0, "happy", 0.8), face_row(1, "sad", 0.6), row(2), face_row(3, "happy", 0.7)
    ).total()
    shares = total.shares()
    assert shares is not None
    assert shares[Emotion.HAPPY] == pytest.approx(1.5 / 3)
    assert shares[Emotion.SAD] == pytest.approx(0.6 / 3)
    assert sum(shares.values()) == pytest.approx(1)
    happy = list(Emotion).index(Emotion.HAPPY)
    assert total.confidence[happy] / total.dominant[happy] == pytest.approx(0.75)


def test_without_a_face_there_are_no_mean_scores() -> None:
    assert summary_of(row(0)).total().shares() is None


def test_batches_are_known_by_their_id_and_those_without_an_answer_by_their_frames() -> None:
    lost = {"batch": None, "error": "no_answer"}
    summary = summary_of(
        *(face_row(n, batch="one", latency_ms=10.0, total_ms=8.0) for n in range(3)),
        *(face_row(n, batch="two", latency_ms=30.0) for n in range(2)),
        *(row(n, **lost) for n in range(2)),
        row(0, **lost),
    )
    assert (summary.batches, summary.answered) == (4, 2)
    assert list(summary.times["latency"]) == [10.0, 30.0]
    assert list(summary.times["total"]) == [8.0]
    assert summary.errors == {"no_answer": 3}


def test_errors_are_counted_by_frame_with_the_first_as_example() -> None:
    summary = summary_of(
        row(0, error="broken_jpeg", id="first.jpg"),
        row(1, error="broken_jpeg", id="second.jpg"),
        row(2, error="empty_frame", source="third.jpg"),
    )
    assert summary.errors == {"broken_jpeg": 2, "empty_frame": 1}
    assert summary.examples == {"broken_jpeg": "first.jpg", "empty_frame": "third.jpg"}


def test_series_are_cameras_clips_and_single_pictures() -> None:
    summary = summary_of(
        face_row(0, camera_id="door", source="rtsp://door/", captured_at=at_second(0)),
        face_row(1, camera_id="door", source="rtsp://door-again/", captured_at=at_second(1)),
        face_row(2, source="rtsp://hall/", captured_at=at_second(0)),
        face_row(3, source="a.mp4", position_s=0.0),
        face_row(4, source="b.mp4", position_s=0.0),
        face_row(5, source="a.jpg"),
        face_row(6, source="b.jpg"),
    )
    assert list(summary.series) == [
        SeriesKey(Axis.CLOCK, "door", None),
        SeriesKey(Axis.CLOCK, None, "rtsp://hall/"),
        SeriesKey(Axis.CLIP, None, "a.mp4"),
        SeriesKey(Axis.CLIP, None, "b.mp4"),
        SeriesKey(Axis.ORDER, None, None),
    ]
    *_, pictures = summary.series.values()
    assert (pictures.frames, pictures.sources) == (2, ("a.jpg", "b.jpg"))


def test_time_without_frames_has_no_bin() -> None:
    seconds = [*range(20), *range(40, 60)]
    series = only_series(face_row(n, captured_at=at_second(s)) for n, s in enumerate(seconds))
    assert series.bins.width == 5000
    held = [number - series.bins.range.start for number in sorted(series.bins.contents)]
    assert held == [0, 1, 2, 3, 8, 9, 10, 11]


def test_frames_that_come_less_often_than_bins_leave_no_gaps() -> None:
    series = only_series(face_row(n, position_s=n / 3) for n in range(60))
    assert series.bins.width == 1000
    assert [counts.frames for counts in series.bins] == [3] * 20


def test_a_frame_of_several_faces_stays_in_one_bin() -> None:
    rows = [face_row(0, position_s=0.0), face_row(0, face=1, position_s=0.0)]
    assert [counts.faces for counts in only_series(rows).bins] == [2]


def test_cameras_beyond_what_is_drawn_are_counted() -> None:
    rows = [face_row(0, batch=str(n), camera_id=str(n)) for n in range(MAX_SERIES + 3)]
    summary = summary_of(*rows)
    assert len(summary.series) == MAX_SERIES
    assert summary.not_drawn.frames == 3
    assert summary.total().frames == MAX_SERIES + 3


def test_sending_reaches_from_the_earliest_to_the_latest_batch() -> None:
    summary = summary_of(
        *(row(0, batch=str(n), sent_at=at_second(second)) for n, second in enumerate((3, 1, 2)))
    )
    assert summary.sent is not None
    assert summary.sent[1] - summary.sent[0] == 2000


def test_latency_of_files_is_without_the_time_for_which_their_batches_waited() -> None:
    times: dict[str, Any] = {"latency_ms": 1000.0, "queued_ms": 500.0, "total_ms": 480.0}
    work: dict[str, Any] = {"decode_ms": 10.0, "detect_ms": 60.0, "classify_ms": 10.0}
    summary = summary_of(
        *(face_row(n, batch="clip", position_s=n, **times, **work) for n in range(2)),
        *(face_row(n, batch="live", captured_at=at_second(n), **times, **work) for n in range(4)),
        face_row(batch="clocks differ", latency_ms=100.0, queued_ms=-50.0),
    )
    assert list(summary.times["latency"]) == [100.0, 1000.0, 100.0]
    assert list(summary.times["total"]) == [480.0, 480.0]


def test_work_on_frames_is_per_frame() -> None:
    work: dict[str, Any] = {"decode_ms": 10.0, "detect_ms": 60.0, "classify_ms": 20.0}
    faces = [face_row(0, faces=2, **work), face_row(0, face=1, faces=2, **work)]
    summary = summary_of(*faces, row(1, **work), face_row(batch="one frame", **work))
    assert list(summary.times["detect"]) == [30.0, 60.0]
    assert list(summary.times["classify"]) == [10.0, 20.0]
