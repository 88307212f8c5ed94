"""What came of a batch that was sent."""

from dataclasses import dataclass
from datetime import datetime

from schemas import BatchResult
from worker.errors import FerWorkerError
from worker.media import MediaFrame


@dataclass(frozen=True)
class Answer:
    """A batch and its result, or why there is none."""

    frames: list[MediaFrame]
    sent_at: datetime
    """When it was submitted, in UTC."""
    camera_id: str | None = None
    """As it was sent."""
    result: BatchResult | None = None
    error: FerWorkerError | None = None
    latency_ms: float | None = None
    """From its submission to its result; None without one."""
