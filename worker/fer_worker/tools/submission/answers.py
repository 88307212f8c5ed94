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
    def is_live(self) -> bool:
        """Whether it comes from a camera."""
        return any(frame.captured_at is not None for frame in self.frames)

    @property
    def latency_without_own_queue_ms(self) -> float | None:
        """The latency without the time for which batches of files waited for each other."""
        if self.latency_ms is None:
            return None
        timings = None if self.result is None else self.result.timings_ms
        queued_ms = None if timings is None else timings.queued
        return without_own_queue(self.latency_ms, queued_ms, is_live=self.is_live)

    @property
    def failed_frames(self) -> list[tuple[str, str]]:
        """Ids of the frames that a worker could not analyse, and why."""
        errors = () if self.result is None else self.result.errors
        return [
            (self.frames[one.frame].id, f"{one.code}: {one.message}")
            for one in errors
            if one.frame is not None and one.frame < len(self.frames)
        ]

    @property
    def failure(self) -> FerWorkerError | None:
        """Why nothing of the batch was analysed, be it that a worker refused all of it."""
        errors = () if self.result is None else self.result.errors
        refused = (one for one in errors if one.frame is None)
        return self.error or next(
            (FerWorkerError(f"{one.code}: {one.message}") for one in refused), None
        )


def without_own_queue(latency_ms: float, queued_ms: float | None, *, is_live: bool) -> float:
    """Take from a latency what the sender itself has made.

    Files are sent ahead of their answers, so their batches wait in the queue for each other. A
    camera's batches wait only for what others have sent.

    Args:
        latency_ms: from a batch's submission to its result.
        queued_ms: the part of it before a worker had the batch, by the clocks of both machines.
        is_live: whether the batch is a camera's.
    """
    if is_live or queued_ms is None:
        return latency_ms
    return min(max(latency_ms - queued_ms, 0.0), latency_ms)
