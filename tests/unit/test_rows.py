"""Rows of results: made from answers, written, and read back."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fer_client.errors import (
    BatchTooLargeError,
    BrokerRefusedError,
    FerWorkerError,
    NoAnswerError,
    NoWorkerQueueError,
    QueueFullError,
)
from fer_schemas import (
    BatchResult,
    ErrorCode,
    FaceResult,
    FrameEmotion,
    FrameResult,
    RequestError,
    Status,
    Timings,
)
from fer_worker.tools.face_table import Row, RowWriter, read_rows, rows_of
from fer_worker.tools.media import MediaFrame
from fer_worker.tools.submission.answers import Answer

SENT = datetime(2026, 11, 23, 10, 0, 0, 250_000, UTC)


def frame(number: int) -> MediaFrame:
    return MediaFrame(b"", f"a.mp4#{number}", "a.mp4", number, number / 3)


def face(area: int, **scores: float) -> FaceResult:
    names = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    return FaceResult.model_validate(
        {
            "box": (-3, 20, area, 1),
            "area": area,
            "probability": 0.99,
            "emotions": dict.fromkeys(names, 0.0) | scores,
        }
    )


def answer(*faces_of_frames: list[FaceResult], errors: tuple[RequestError, ...] = ()) -> Answer:
    frames = [frame(number) for number in range(len(faces_of_frames))]
    failed = {error.frame for error in errors}
    result = BatchResult(
        status=Status.PARTIAL if errors else Status.SUCCESS,
        emotions=(FrameEmotion(emotion=None, confidence=0),) * len(frames),
        errors=errors,
        frames=tuple(
            FrameResult(
                id=one.id, width=None if one.position in failed else 640, height=480, faces=faces
            )
            for one, faces in zip(frames, map(tuple, faces_of_frames), strict=True)
        ),
        most_relevant_frame=1,
        correlation_id="c-1",
        timings_ms=Timings(queued=None, decode=1, detect=2, classify=3.5, total=4),
        worker="host/1",
    )
    return Answer(frames, SENT, "door-1", result, latency_ms=12.345)


def everything() -> list[Row]:
    broken = RequestError(frame=2, code=ErrorCode.BROKEN_JPEG, message="cut off")
    faces = [face(400, sad=0.6, fear=0.4), face(90, happy=1.0)]
    return rows_of(answer([], faces, [], errors=(broken,)), [None, Path("out/a-1.jpg")])


def test_a_face_has_a_row_and_so_has_a_frame_without_one() -> None:
    rows = everything()
    assert [(row.frame, row.faces, row.face) for row in rows] == [
        (0, 0, None),
        (1, 2, 0),
        (1, 2, 1),
        (2, 0, None),
    ]
    assert [row.emotion for row in rows] == [None, "sad", "happy", None]
    assert [row.most_relevant for row in rows] == [False, True, True, False]
    assert [row.error for row in rows] == [None, None, None, "broken_jpeg"]
    assert [row.annotated for row in rows] == [None, "out/a-1.jpg", "out/a-1.jpg", None]
    first = rows[1]
    assert (first.x, first.y, first.box_width, first.box_height) == (-3, 20, 400, 1)
    assert (first.confidence, first.fear, first.neutral) == (0.6, 0.4, 0.0)
    assert (first.id, first.source, first.position, first.position_s) == (
        *("a.mp4#1", "a.mp4"),
        *(1, 0.333),
    )
    assert (first.queued_ms, first.classify_ms, first.total_ms) == (None, 3.5, 4)
    assert (first.batch, first.camera_id, first.worker) == ("c-1", "door-1", "host/1")
    assert (first.sent_at, first.latency_ms) == (SENT, 12.3)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoAnswerError("late"), "no_answer"),
        (QueueFullError("full"), "queue_full"),
        (NoWorkerQueueError("none"), "no_worker_queue"),
        (BatchTooLargeError("large"), "batch_too_large"),
        (BrokerRefusedError("no"), "broker_unavailable"),
        (FerWorkerError("else"), "failed"),
    ],
)
def test_batch_without_a_result_has_a_row_a_frame_with_its_error(
    error: FerWorkerError, code: str
) -> None:
    rows = rows_of(Answer([frame(0), frame(1)], SENT, error=error))
    assert [(row.frame, row.error, row.batch) for row in rows] == [(0, code, None), (1, code, None)]


def test_path_of_a_copy_that_is_not_utf_8_can_be_written() -> None:
    (row,) = rows_of(answer([]), [Path(os.fsdecode(b"d\xf6rr.jpg"))])
    assert row.annotated == "d?rr.jpg"
    assert row.model_dump_json()


def test_error_of_a_whole_batch_is_that_of_each_frame() -> None:
    bad = RequestError(frame=None, code=ErrorCode.EXPIRED, message="too late")
    result = BatchResult(status=Status.EXPIRED, errors=(bad,), worker="host/1")
    rows = rows_of(Answer([frame(0), frame(1)], SENT, result=result))
    assert [row.error for row in rows] == ["expired", "expired"]
    assert [row.id for row in rows] == ["a.mp4#0", "a.mp4#1"]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "ROWS.CSV"])
def test_rows_are_read_back_as_they_were_written(tmp_path: Path, name: str) -> None:
    rows = everything()
    with RowWriter(tmp_path / name) as writer:
        writer.write(rows[:2])
        assert list(read_rows(tmp_path / name)) == rows[:2]  # before the file is closed
        writer.write(rows[2:])
    assert list(read_rows(tmp_path / name)) == rows


def test_jsonl_has_an_object_a_row_and_null_for_what_is_absent(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "rows.jsonl") as writer:
        writer.write(everything())
    first, *others = map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())
    assert list(first) == list(Row.model_fields)
    assert first["emotion"] is None
    assert first["sent_at"] == "2026-11-23T10:00:00.250000Z"
    assert len(others) == 3


def test_csv_has_a_header_and_nothing_for_what_is_absent(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "rows.csv") as writer:
        writer.write(everything())
    header, first, *others = (tmp_path / "rows.csv").read_text().splitlines()
    assert header.split(",") == list(Row.model_fields)
    assert first.startswith("door-1,c-1,0,a.mp4#0,a.mp4,0,,0.0,640,480,False,0,,,")
    assert len(others) == 3


def test_file_of_before_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("of before")
    RowWriter(path).__exit__()
    assert list(read_rows(path)) == []


def test_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FerWorkerError, match=r"^cannot write .*rows\.csv: No such file"):
        RowWriter(tmp_path / "nowhere" / "rows.csv")


def test_file_that_can_no_longer_be_written_to_is_one_line() -> None:
    with (
        pytest.raises(FerWorkerError, match=r"^cannot write /dev/full: No space left on device$"),
        RowWriter(Path("/dev/full")) as writer,
    ):
        writer.write(everything())


def test_whole_numbers_that_a_spreadsheet_made_fractions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        "frame,source,most_relevant,faces,face,sent_at\n0.0,a.jpg,TRUE,1.0,0.0,2026-11-23T10:00Z\n"
    )
    (row,) = read_rows(path)
    assert (row.frame, row.face, row.most_relevant) == (0, 0, True)


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("rows.jsonl", b"{}\n", "line 1: frame: Field required"),
        ("rows.jsonl", b"\n\n{\n", "line 3: "),
        ("rows.jsonl", b"[]\n", "line 1: row: "),
        ("rows.jsonl", b'{"a": "\xff"}\n', "not the text of a table"),
        ("rows.csv", b"frame,source\nfirst,a.jpg\n", "line 2: frame: "),
        ("rows.csv", b"frame,source\n0,a.jpg\n", "line 2: most_relevant: Field required"),
        ("rows.txt", b"", "neither"),
    ],
)
def test_what_is_no_row_is_one_line_that_says_where(
    tmp_path: Path, name: str, content: bytes, where: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FerWorkerError) as refusal:
        list(read_rows(tmp_path / name))
    assert str(tmp_path / name) in str(refusal.value)
    assert where in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_missing_file_of_rows_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FerWorkerError, match=r"^cannot read .*: No such file"):
        list(read_rows(tmp_path / "rows.csv"))
