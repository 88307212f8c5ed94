"""Outcomes of frames to the result of their request. Loads no model library."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache

from fer_schemas import (
    BatchRequest,
    BatchResult,
    EngineInfo,
    ErrorCode,
    FaceSelection,
    FrameEmotion,
    FrameResult,
    RequestError,
    Status,
    Timings,
)
from fer_worker.inference.types import EngineOptions

NO_EMOTION = FrameEmotion(emotion=None, confidence=0.0)


@dataclass(frozen=True)
class FrameOutcome:
    """One frame of a batch: what was found, or why nothing could be; and where the time went.

    A damaged frame may have both.
    """

    frame: FrameResult
    error: RequestError | None = None
    decode_ms: float = 0.0
    detect_ms: float = 0.0
    classify_ms: float = 0.0


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
        status=_status(frames, has_errors=bool(errors)),
        emotions=tuple(_dominant(frame) for frame in frames),
        faces_areas=areas,
        errors=errors,
        frames=frames,
        most_relevant_frame=areas.index(max(areas)) if any(areas) else None,
        correlation_id=correlation_id,
        camera_id=request.camera_id,
        redelivered=redelivered,
        engine=_engine_info(options, request.faces or options.faces),
        timings_ms=Timings(
            queued=None if queued_ms is None else round(max(queued_ms, 0.0), 1),
            decode=_sum(outcome.decode_ms for outcome in outcomes),
            detect=_sum(outcome.detect_ms for outcome in outcomes),
            classify=_sum(outcome.classify_ms for outcome in outcomes),
            total=round(total_ms, 1),
        ),
        worker=worker,
    )


def expired(
    request: BatchRequest | None,
    why: str,
    *,
    correlation_id: str | None,
    redelivered: bool,
    worker: str,
) -> BatchResult:
    """Answer a request that came too late; `request` is None where it cannot be read."""
    frames = request.frames if request is not None else ()
    return BatchResult(
        status=Status.EXPIRED,
        emotions=(NO_EMOTION,) * len(frames),
        faces_areas=(0,) * len(frames),
        errors=(RequestError(frame=None, code=ErrorCode.EXPIRED, message=why),),
        frames=tuple(
            FrameResult(id=frame.id, width=None, height=None, faces=()) for frame in frames
        ),
        correlation_id=correlation_id,
        camera_id=request.camera_id if request is not None else None,
        redelivered=redelivered,
        worker=worker,
    )


@cache
def _engine_info(options: EngineOptions, faces: FaceSelection) -> EngineInfo:
    """What a result says of its engine: all options that bear on an answer."""
    return EngineInfo.model_validate(asdict(options) | {"faces": faces})


def _dominant(frame: FrameResult) -> FrameEmotion:
    """Name the strongest of the first face's scores."""
    if not frame.faces:
        return NO_EMOTION
    emotion, confidence = frame.faces[0].emotions.strongest()
    return FrameEmotion(emotion=emotion, confidence=confidence)


def _status(frames: Sequence[FrameResult], *, has_errors: bool) -> Status:
    if not has_errors:
        return Status.SUCCESS
    return Status.PARTIAL if any(frame.width is not None for frame in frames) else Status.ERROR


def _sum(milliseconds: Iterable[float]) -> float:
    return round(sum(milliseconds), 1)
