"""What a controller sends: a batch of JPEG frames."""

from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from fer_schemas._base import Name, StrictMessage, Timestamp
from fer_schemas.vocabulary import MAX_FRAMES, FaceSelection


def flat_bytes(value: object) -> object:
    """Copy a buffer of bytes in a row, such as a one-dimensional uint8 array; leave all else."""
    if isinstance(value, bytes):
        return value
    try:
        view = memoryview(value)  # type: ignore[arg-type]  # to be seen
    except TypeError:
        return value
    # Older releases of OpenCV encode to an array of N x 1.
    return bytes(view) if view.shape and view.shape[0] == view.nbytes else value


class _FlatBytes:
    """Has Python hand over any buffer that `flat_bytes` takes; JSON stays base64."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        read = handler(source)
        copied = core_schema.no_info_before_validator_function(flat_bytes, read)
        return core_schema.json_or_python_schema(read, copied)


class Frame(StrictMessage):
    """One picture of a camera."""

    jpeg: Annotated[
        bytes,
        _FlatBytes(),
        Field(description="The JPEG file: bin in msgpack, base64 in JSON."),
    ]
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
