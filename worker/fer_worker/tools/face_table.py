"""Results as a table: a row per face, as JSON Lines or CSV.

    answers ──rows_of──▶ rows ──RowWriter──▶ file ──read_rows──▶ rows

`pandas.read_json(path, lines=True)` and `pandas.read_csv(path)` read the file as it is.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from fer_client.errors import (
    BatchTooLargeError,
    BrokerError,
    FerWorkerError,
    NoAnswerError,
    NoWorkerQueueError,
    QueueFullError,
)
from fer_schemas import BatchResult, Emotion, FaceResult, FrameResult
from fer_worker.tools.files import reading, writing
from fer_worker.tools.media import MediaFrame, sendable
from fer_worker.tools.submission.answers import Answer

ROW_SUFFIXES: Final = frozenset({".csv", ".jsonl"})
"""What a file of rows may be called; it says in which of the two forms they are."""

BATCH_ERRORS: Final[Mapping[type[FerWorkerError], str]] = {
    NoAnswerError: "no_answer",
    QueueFullError: "queue_full",
    NoWorkerQueueError: "no_worker_queue",
    BatchTooLargeError: "batch_too_large",
    BrokerError: "broker_unavailable",
}
"""The code of a batch that has no result, by its error; `failed` for any other one."""


Score = Annotated[float | None, Field(description="score, 0 to 1")]


class Row(BaseModel):
    """One face of a frame; a frame without any, or one that failed, has a row without a face."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    camera_id: Annotated[str | None, Field(description="as it was sent")] = None
    batch: Annotated[
        str | None, Field(description="correlation id of the batch; empty where it has no result")
    ] = None
    frame: Annotated[int, Field(ge=0, description="index of the frame in its batch, from 0")]
    id: Annotated[str | None, Field(description="of the frame, as it was sent")] = None
    source: Annotated[
        str, Field(description="path of the picture or clip, or address without its password")
    ]
    position: Annotated[
        int | None, Field(description="number of the frame in its clip or camera, from 0")
    ] = None
    captured_at: Annotated[
        AwareDatetime | None, Field(description="when a camera's frame was read, UTC")
    ] = None
    position_s: Annotated[float | None, Field(description="seconds from the start of the clip")] = (
        None
    )
    width: Annotated[int | None, Field(description="of the upright frame, in pixels")] = None
    height: Annotated[int | None, Field(description="of the upright frame, in pixels")] = None
    most_relevant: Annotated[
        bool, Field(description="whether the frame has the largest face of its batch")
    ]
    faces: Annotated[int, Field(ge=0, description="faces in the frame")]
    face: Annotated[
        int | None, Field(description="index of the face in its frame; 0 is the largest")
    ] = None
    x: Annotated[int | None, Field(description="left edge of the box, in pixels")] = None
    y: Annotated[int | None, Field(description="upper edge of the box, in pixels")] = None
    box_width: Annotated[int | None, Field(description="in pixels")] = None
    box_height: Annotated[int | None, Field(description="in pixels")] = None
    area: Annotated[int | None, Field(description="of the box, in pixels")] = None
    probability: Annotated[float | None, Field(description="the detector's, that it is a face")] = (
        None
    )
    emotion: Annotated[Emotion | None, Field(description="the one of the highest score")] = None
    confidence: Annotated[float | None, Field(description="its score")] = None
    angry: Score = None
    disgust: Score = None
    fear: Score = None
    happy: Score = None
    sad: Score = None
    surprise: Score = None
    neutral: Score = None
    error: Annotated[
        str | None,
        Field(description="code of what failed: the frame, its batch, or the sending of it"),
    ] = None
    sent_at: Annotated[AwareDatetime, Field(description="when the batch was submitted, UTC")]
    latency_ms: Annotated[
        float | None, Field(description="from the batch's submission to its result")
    ] = None
    queued_ms: Annotated[
        float | None, Field(description="of the batch: from its submission to a worker")
    ] = None
    decode_ms: Annotated[
        float | None, Field(description="of the batch: decoding, summed over its frames")
    ] = None
    detect_ms: Annotated[
        float | None, Field(description="of the batch: finding faces, summed over its frames")
    ] = None
    classify_ms: Annotated[
        float | None, Field(description="of the batch: emotions, summed over its frames")
    ] = None
    total_ms: Annotated[
        float | None, Field(description="of the batch: in the worker, start to end")
    ] = None
    annotated: Annotated[str | None, Field(description="path of the annotated copy")] = None
    worker: Annotated[str | None, Field(description="host/pid of who answered")] = None


def rows_of(answer: Answer, copies: Sequence[Path | None] = ()) -> list[Row]:
    """Make the rows of a batch, in the order of its frames and of the faces in each.

    Args:
        answer: a batch with its result, or without one.
        copies: paths of the annotated copies, an entry per frame; missing ones are None.
    """
    result = answer.result
    whole = {
        "camera_id": answer.camera_id,
        "sent_at": answer.sent_at,
        "latency_ms": None if answer.latency_ms is None else round(answer.latency_ms, 1),
        **(_of_result(result) if result is not None else {}),
    }
    errors = _errors(answer)
    found = () if result is None else result.frames
    most_relevant = None if result is None else result.most_relevant_frame
    rows = []
    for index, (frame, analysed, copy) in enumerate(
        zip_longest(answer.frames, found[: len(answer.frames)], copies[: len(answer.frames)])
    ):
        of_frame = {
            **whole,
            **_of_frame(frame, analysed),
            "frame": index,
            "most_relevant": index == most_relevant,
            "error": errors.get(index, errors.get(None)),
            "annotated": None if copy is None else sendable(str(copy)),
        }
        faces = analysed.faces if analysed is not None else ()
        rows += [
            Row.model_validate({**of_frame, **_of_face(face, number)})
            for number, face in enumerate(faces)
        ] or [Row.model_validate(of_frame)]
    return rows


class RowWriter:
    """Writes rows to a file, whose suffix is one of `ROW_SUFFIXES`; a context manager.

    What `write` has written is in the file when it returns, also if the process is killed then.
    """

    def __init__(self, path: Path) -> None:
        """Make the file, instead of one that may be there.

        Raises:
            FerWorkerError: it cannot be written.
        """
        self._path = path
        with writing(path):
            # CSV has line ends of its own (RFC 4180).
            self._file = path.open("w", encoding="utf-8", newline="")
        self._csv = csv.DictWriter(self._file, Row.model_fields) if _is_csv(path) else None
        if self._csv is not None:
            self._csv.writeheader()

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(self, *_: object) -> None:
        with writing(self._path):
            self._file.close()  # which tries once more to write what could not be written

    def write(self, rows: Iterable[Row]) -> None:
        """Append rows.

        Raises:
            FerWorkerError: the file cannot be written to.
        """
        with writing(self._path):
            for row in rows:
                if self._csv is not None:
                    self._csv.writerow(row.model_dump(mode="json"))
                else:
                    self._file.write(row.model_dump_json() + "\n")
            self._file.flush()


def read_rows(path: Path) -> Iterator[Row]:
    """Read rows back, one at a time.

    Fields that are not known are ignored, and so are empty lines.

    Raises:
        FerWorkerError: the file cannot be read, its suffix is another one, or a line is no row;
            then the text names file and line.
    """
    if path.suffix.lower() not in ROW_SUFFIXES:
        raise FerWorkerError(f"{path} is neither .jsonl nor .csv")
    line = 0
    try:
        with reading(path), path.open(encoding="utf-8-sig", newline="") as file:
            records = _csv_records(file) if _is_csv(path) else enumerate(file, start=1)
            for number, record in records:
                line = number
                if isinstance(record, dict):
                    yield Row.model_validate(record)
                elif record.strip():
                    yield Row.model_validate_json(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "row"
        raise FerWorkerError(f"{path}, line {line}: {field}: {first['msg']}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FerWorkerError(f"{path}, after line {line}: not the text of a table") from error


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _csv_records(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Give each row under the number of its line, without what is empty."""
    reader = csv.DictReader(lines)
    for record in reader:
        yield reader.line_num, {name: value for name, value in record.items() if name and value}


def _errors(answer: Answer) -> dict[int | None, str]:
    """Codes by index of the frame; None is the whole batch."""
    if answer.result is not None:
        return {error.frame: error.code.value for error in answer.result.errors}
    if answer.error is not None:
        codes = (code for kind, code in BATCH_ERRORS.items() if isinstance(answer.error, kind))
        return {None: next(codes, "failed")}
    return {}


def _of_result(result: BatchResult) -> dict[str, Any]:
    timings = result.timings_ms
    times = {} if timings is None else {f"{name}_ms": value for name, value in timings}
    return {"batch": result.correlation_id, "worker": result.worker, **times}


def _of_frame(frame: MediaFrame, analysed: FrameResult | None) -> dict[str, Any]:
    return {
        "id": frame.id,
        "source": frame.source,
        "position": frame.position,
        "captured_at": frame.captured_at,
        "position_s": None if frame.position_s is None else round(frame.position_s, 3),
        "width": None if analysed is None else analysed.width,
        "height": None if analysed is None else analysed.height,
        "faces": 0 if analysed is None else len(analysed.faces),
    }


def _of_face(face: FaceResult, number: int) -> dict[str, Any]:
    emotion, confidence = face.emotions.strongest()
    names = ("x", "y", "box_width", "box_height")
    return {
        "face": number,
        **dict(zip(names, face.box, strict=True)),
        "area": face.area,
        "probability": face.probability,
        "emotion": emotion,
        "confidence": confidence,
        **dict(face.emotions),
    }
