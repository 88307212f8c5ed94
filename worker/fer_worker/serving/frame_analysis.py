"""One frame to its outcome: decode, detect, classify. Knows no broker."""

import logging
import time
from collections.abc import Sequence

from fer_client.errors import FrameError, MessageError
from fer_schemas import (
    EmotionScores,
    ErrorCode,
    FaceResult,
    FaceSelection,
    Frame,
    FrameResult,
    RequestError,
)
from fer_worker.inference.jpeg.decoding import count_pixels, decode_frame
from fer_worker.inference.types import Engine, Face
from fer_worker.limits import FrameLimits, Limits
from fer_worker.logging_setup import log_context
from fer_worker.serving.result_builder import FrameOutcome

log = logging.getLogger(__name__)


def check_pixels(frames: Sequence[Frame], limits: Limits) -> None:
    """Refuse a batch whose frames have too many pixels together, by their headers.

    The batch as a whole: were only its first frames analysed, the result would depend on their
    order, and the sender would take the largest face of some for that of all.

    Raises:
        MessageError: `too_many_pixels_in_batch`.
    """
    if len(frames) * limits.frame.max_pixels <= limits.max_pixels:
        return
    pixels = sum(count_pixels(frame.jpeg, limits.frame) for frame in frames)
    if pixels > limits.max_pixels:
        raise MessageError(
            ErrorCode.TOO_MANY_PIXELS_IN_BATCH,
            f"the batch has {pixels} pixels; {limits.max_pixels} are accepted",
        )


def analyze_frame(
    engine: Engine,
    frame: Frame,
    index: int,
    faces: FaceSelection,
    limits: FrameLimits,
    correlation_id: str | None = None,
) -> FrameOutcome:
    """Decode and analyse frame `index` of a batch. Raises nothing: a failure is its outcome.

    `correlation_id` of the batch is for the log alone.
    """
    try:
        started = time.perf_counter()
        image, damage = decode_frame(frame.jpeg, limits)
        decode_ms = (time.perf_counter() - started) * 1000
        analysis = engine.analyze(image, faces)
    except FrameError as error:
        return _failed(frame, index, error.code, error.message)
    except Exception:
        log.exception("frame %d: unexpected fault", index, extra=log_context(correlation_id))
        return _failed(frame, index, ErrorCode.INTERNAL_ERROR, "the worker failed on this frame")
    return FrameOutcome(
        frame=FrameResult(
            id=frame.id,
            width=image.shape[1],
            height=image.shape[0],
            faces=tuple(_face_result(face) for face in analysis.faces),
            damaged=damage is not None,
        ),
        error=None if damage is None else _error(index, ErrorCode.DAMAGED_JPEG, damage),
        decode_ms=decode_ms,
        detect_ms=analysis.detect_ms,
        classify_ms=analysis.classify_ms,
    )


def _failed(frame: Frame, index: int, code: ErrorCode, message: str) -> FrameOutcome:
    return FrameOutcome(
        frame=FrameResult(
            id=frame.id,
            width=None,
            height=None,
            faces=(),
            damaged=code is ErrorCode.DAMAGED_JPEG,
        ),
        error=_error(index, code, message),
    )


def _error(index: int, code: ErrorCode, message: str) -> RequestError:
    return RequestError(frame=index, code=code, message=message)


def _face_result(face: Face) -> FaceResult:
    scores = {emotion.value: round(score, 2) for emotion, score in face.emotions.items()}
    return FaceResult(
        box=(face.box.x, face.box.y, face.box.width, face.box.height),
        area=face.box.area,
        probability=round(face.probability, 4),
        emotions=EmotionScores(**scores),
    )
