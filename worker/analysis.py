"""A request's frames to its result: what is measured, and how it is told. Knows no broker."""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas import (
    BatchRequest,
    BatchResult,
    EmotionScores,
    EngineInfo,
    ErrorCode,
    FaceResult,
    FaceSelection,
    Frame,
    FrameEmotion,
    FrameResult,
    RequestError,
    Status,
    Timings,
)
from worker.config import Limits
from worker.errors import FrameError
from worker.inference.engine import Engine, EngineOptions, Face
from worker.inference.frames import decode_frame

log = logging.getLogger(__name__)

NO_EMOTION = FrameEmotion(emotion=None, confidence=0.0)


@dataclass(frozen=True)
class FrameOutcome:
    """One frame of a batch: what was found, or why nothing could be; and where the time went."""

    frame: FrameResult
    error: RequestError | None = None
    decode_ms: float = 0.0
    detect_ms: float = 0.0
    classify_ms: float = 0.0


def analyze_frame(
    engine: Engine, frame: Frame, index: int, faces: FaceSelection, limits: Limits
) -> FrameOutcome:
    """Decode and analyse frame `index` of a batch. Raises nothing: a failure is its outcome."""
    try:
        started = time.perf_counter()
        image = decode_frame(frame.jpeg, limits)
        decode_ms = (time.perf_counter() - started) * 1000
        analysis = engine.analyze(image, faces)
    except FrameError as error:
        return _failed(frame, index, error.code, error.message)
    except Exception:
        log.exception("frame %d: unexpected fault", index)
        return _failed(frame, index, ErrorCode.INTERNAL_ERROR, "the worker failed on this frame")
    return FrameOutcome(
        frame=FrameResult(
            id=frame.id,
            width=image.shape[1],
            height=image.shape[0],
            faces=tuple(_face_result(face) for face in analysis.faces),
        ),
        decode_ms=decode_ms,
        detect_ms=analysis.detect_ms,
        classify_ms=analysis.classify_ms,
    )


def summarize(
    request: BatchRequest,
    outcomes: Sequence[FrameOutcome],
    *,
    options: EngineOptions,
    total_ms: float,
    queued_ms: float | None,
    correlation_id: str | None,
    redelivered: bool,
    worker: str,
) -> BatchResult:
    """Put the outcomes of a batch's frames, in their order, into its result."""
    frames = tuple(outcome.frame for outcome in outcomes)
    errors = tuple(outcome.error for outcome in outcomes if outcome.error is not None)
    areas = tuple(frame.faces[0].area if frame.faces else 0 for frame in frames)
    return BatchResult(
        status=_status(len(errors), len(frames)),
        emotions=tuple(_dominant(frame) for frame in frames),
        faces_areas=areas,
        errors=errors,
        frames=frames,
        most_relevant_frame=areas.index(max(areas)) if any(areas) else None,
        correlation_id=correlation_id,
        camera_id=request.camera_id,
        redelivered=redelivered,
        engine=EngineInfo(
            name=options.name,
            faces=request.faces or options.faces,
            detector_color=options.detector_color,
            min_face_probability=options.min_face_probability,
            min_face_size=options.min_face_size,
            crop=options.crop,
        ),
        timings_ms=Timings(
            queued=None if queued_ms is None else round(max(queued_ms, 0.0), 1),
            decode=_sum(outcome.decode_ms for outcome in outcomes),
            detect=_sum(outcome.detect_ms for outcome in outcomes),
            classify=_sum(outcome.classify_ms for outcome in outcomes),
            total=round(total_ms, 1),
        ),
        worker=worker,
    )


def _failed(frame: Frame, index: int, code: ErrorCode, message: str) -> FrameOutcome:
    return FrameOutcome(
        frame=FrameResult(id=frame.id, width=None, height=None, faces=()),
        error=RequestError(frame=index, code=code, message=message),
    )


def _face_result(face: Face) -> FaceResult:
    scores = {emotion.value: round(score, 2) for emotion, score in face.emotions.items()}
    return FaceResult(
        box=(face.box.x, face.box.y, face.box.width, face.box.height),
        area=face.box.area,
        probability=round(face.probability, 4),
        emotions=EmotionScores(**scores),
    )


def _dominant(frame: FrameResult) -> FrameEmotion:
    """Name the strongest of the first face's scores; of equals the first, as FER does."""
    if not frame.faces:
        return NO_EMOTION
    emotion, confidence = max(frame.faces[0].emotions, key=lambda item: item[1])
    return FrameEmotion.model_validate({"emotion": emotion, "confidence": confidence})


def _status(failed: int, frames: int) -> Status:
    if failed == 0:
        return Status.SUCCESS
    return Status.ERROR if failed == frames else Status.PARTIAL


def _sum(milliseconds: Iterable[float]) -> float:
    return round(sum(milliseconds), 1)
