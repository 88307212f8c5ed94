"""What came of a batch that was sent."""

from dataclasses import dataclass
from datetime import datetime

from fer_client.errors import FerWorkerError
from fer_schemas import BatchResult
from fer_worker.tools.media import MediaFrame


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

    @property
    def has_all_faces(self) -> bool:
        """Whether every face that was found is in the result, and not the largest one alone."""
        engine = None if self.result is None else self.result.engine
        return engine is not None and engine.faces == "all"

    @property
    def failure(self) -> FerWorkerError | None:
        """Why nothing of the batch was analysed, be it that a worker refused all of it."""
        errors = () if self.result is None else self.result.errors
        refused = (one for one in errors if one.frame is None)
        return self.error or next(
            (FerWorkerError(f"{one.code}: {one.message}") for one in refused), None
        )
