"""The wire contract of fer-worker: what goes over the broker, and nothing of how it is done."""

from fer_schemas.control import (
    CONTROL_COMMAND,
    CONTROL_REPLY,
    Percentiles,
    ProcessStatus,
    ScaleCommand,
    ScaleReply,
    StatusQuery,
    SupervisorStatus,
)
from fer_schemas.request import BatchRequest, Frame
from fer_schemas.result import (
    BatchResult,
    EmotionScores,
    EngineInfo,
    FaceResult,
    FrameEmotion,
    FrameResult,
    RequestError,
    Timings,
)
from fer_schemas.vocabulary import (
    MAX_FRAMES,
    MAX_MESSAGE_BYTES,
    MAX_NAME_LENGTH,
    PROTOCOL_VERSION,
    ContentType,
    Emotion,
    ErrorCode,
    FaceSelection,
    Status,
)

__all__ = [
    "CONTROL_COMMAND",
    "CONTROL_REPLY",
    "MAX_FRAMES",
    "MAX_MESSAGE_BYTES",
    "MAX_NAME_LENGTH",
    "PROTOCOL_VERSION",
    "BatchRequest",
    "BatchResult",
    "ContentType",
    "Emotion",
    "EmotionScores",
    "EngineInfo",
    "ErrorCode",
    "FaceResult",
    "FaceSelection",
    "Frame",
    "FrameEmotion",
    "FrameResult",
    "Percentiles",
    "ProcessStatus",
    "RequestError",
    "ScaleCommand",
    "ScaleReply",
    "Status",
    "StatusQuery",
    "SupervisorStatus",
    "Timings",
]
