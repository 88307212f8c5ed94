"""What processes say to their supervisor, as JSON.

No pickles: a process that decodes hostile pictures may say what it likes here.
"""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from fer_schemas import BatchResult, RequestError
from fer_worker.metrics import MetricsSnapshot
from fer_worker.serving.progress import Progress


@dataclass(frozen=True)
class Report:
    """How a process is; sent four times per second, and when something changes."""

    progress: Progress
    counts: MetricsSnapshot
    resident_bytes: int
    draining: bool = False
    kind: Literal["report"] = "report"


@dataclass(frozen=True)
class Examination:
    """What an examiner made of a request: its result, or what is wrong with it."""

    result: BatchResult | None = None
    error: RequestError | None = None
    kind: Literal["examination"] = "examination"


CHILD_MESSAGE: Final[TypeAdapter[Report | Examination]] = TypeAdapter(
    Annotated[Report | Examination, Field(discriminator="kind")]
)

DRAIN: Final = b"drain"
"""A supervisor's order to finish what was taken, and leave."""
