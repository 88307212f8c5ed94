"""What a controller sends: a batch of JPEG frames."""

from typing import Annotated, Literal

from pydantic import Field

from fer_schemas._base import Name, StrictMessage, Timestamp
from fer_schemas.vocabulary import MAX_FRAMES, FaceSelection


class Frame(StrictMessage):
    """One picture of a camera."""

    jpeg: Annotated[bytes, Field(description="The JPEG file: bin in msgpack, base64 in JSON.")]
    id: Annotated[Name | None, Field(description="The sender's name for it, echoed.")] = None
    captured_at: Annotated[Timestamp | None, Field(description="When it was taken.")] = None


class BatchRequest(StrictMessage):
    """Frames to analyse together; answered by one `BatchResult`."""

    version: Annotated[Literal[1], Field(description="Version of this contract.")]
    frames: Annotated[tuple[Frame, ...], Field(min_length=1, max_length=MAX_FRAMES, strict=False)]
    camera_id: Annotated[Name | None, Field(description="Echoed in the result.")] = None
    faces: Annotated[
        FaceSelection | None,
        Field(description="`first` (largest) or `all`; the worker's own option without it."),
    ] = None
    sent_at: Annotated[
        Timestamp | None,
        Field(description="Makes `timings_ms.queued` measurable, where clocks are in step."),
    ] = None
    deadline: Annotated[
        Timestamp | None,
        Field(description="A request picked up later than this is answered `expired`."),
    ] = None
