"""What a worker answers: one `BatchResult` per batch."""

from typing import Annotated, Literal

from pydantic import Field

from fer_schemas._base import Message, known
from fer_schemas.vocabulary import PROTOCOL_VERSION, Emotion, ErrorCode, FaceSelection, Status

Score = Annotated[float, Field(ge=0, le=1)]
"""A share of certainty, rounded to two decimals as FER does."""

Milliseconds = Annotated[float, Field(ge=0)]


class FrameEmotion(Message):
    """The dominant emotion of a frame's first (largest) face; null and 0.0 where there is none."""

    emotion: Emotion | None
    confidence: Score


class EmotionScores(Message):
    """The seven scores of one face. They add up to 1 before each is rounded."""

    angry: Score
    disgust: Score
    fear: Score
    happy: Score
    sad: Score
    surprise: Score
    neutral: Score

    def strongest(self) -> tuple[Emotion, float]:
        """Give the emotion of the highest score, and that score; of equals the first, as FER."""
        name, score = max(self, key=lambda item: item[1])
        return Emotion(name), score


class FaceResult(Message):
    """One face of a frame."""

    box: Annotated[
        tuple[int, int, int, int],
        Field(description="x, y, width, height in pixels of the upright frame; may cross its edge"),
    ]
    area: Annotated[int, Field(ge=0, description="width x height, in pixels")]
    probability: Annotated[float, Field(ge=0, le=1, description="the detector's")]
    emotions: EmotionScores


class FrameResult(Message):
    """One frame: its size once upright (null where it failed) and its faces, largest first."""

    id: str | None
    width: int | None
    height: int | None
    faces: tuple[FaceResult, ...]
    damaged: Annotated[
        bool, Field(description="a part of it is lost or displaced; `errors` says where")
    ] = False


class RequestError(Message):
    """Why a frame, or with `frame: null` the whole request, could not be analysed."""

    frame: Annotated[int | None, Field(ge=0)]
    code: ErrorCode
    message: str


class Timings(Message):
    """Where the time went, in milliseconds.

    `decode`, `detect` and `classify` are summed over the frames, which run side by side; `total`
    is the wall time from delivery to result; `queued` is from `sent_at` to delivery, null without
    it.
    """

    queued: Milliseconds | None
    decode: Milliseconds
    detect: Milliseconds
    classify: Milliseconds
    total: Milliseconds


class EngineInfo(Message):
    """What computed the answer, and with which options."""

    name: str
    faces: FaceSelection
    detector_color: Annotated[str, known("rgb", "bgr")]
    min_face_probability: float
    min_face_size: Annotated[
        int | str,
        Field(description="pixels, or as a string per cent of the frame's longer side: 3%"),
    ]
    crop: Annotated[str, known("aligned", "fer")]
    views: Annotated[int, Field(ge=1, description="of a face, their scores averaged")] = 1


class BatchResult(Message):
    """The outcome of one request.

    `emotions`, `faces_areas` and `frames` have one entry per frame, in the order of the request;
    they are empty where the message itself was bad.
    """

    status: Status
    emotions: tuple[FrameEmotion, ...] = ()
    faces_areas: tuple[Annotated[int, Field(ge=0)], ...] = ()
    errors: tuple[RequestError, ...] = ()
    frames: tuple[FrameResult, ...] = ()
    most_relevant_frame: Annotated[
        int | None, Field(ge=0, description="Index of the largest area; null without a face.")
    ] = None
    version: Literal[1] = PROTOCOL_VERSION
    correlation_id: str | None = None
    camera_id: str | None = None
    redelivered: bool = False
    engine: EngineInfo | None = None
    timings_ms: Timings | None = None
    worker: Annotated[str, Field(description="host/pid of who answered")]
