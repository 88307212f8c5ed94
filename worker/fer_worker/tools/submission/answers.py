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
    def own_time_ms(self) -> float | None:
        """The latency; of files without the time for which their batches waited for each other."""
        times = None if self.result is None else self.result.timings_ms
        if self.is_live or self.latency_ms is None or times is None:
            return self.latency_ms
        work = (times.decode, times.detect, times.classify)
        return own_time(self.latency_ms, times.queued, times.total, *work)

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


def own_time(
    latency_ms: float, queued_ms: float | None, total_ms: float | None, *work_ms: float | None
) -> float:
    """Take from the latency of a batch the time for which it waited for others.

    Files are sent ahead of their answers, so their batches wait for each other: in the queue, and
    then in a worker, which takes several. What is left is the work on the frames and the way.

    Args:
        latency_ms: from the batch's submission to its result.
        queued_ms: the part of it before a worker had the batch, by the clocks of both machines.
        total_ms: the part in the worker.
        work_ms: what of that was work on frames, summed over them. Where they ran side by side this
            is more than the time it took, and waiting may be hidden.
    """
    waited_ms = max(queued_ms or 0.0, 0.0)
    if total_ms is not None and any(work_ms):
        waited_ms += max(total_ms - sum(work or 0.0 for work in work_ms), 0.0)
    return max(latency_ms - waited_ms, 0.0)
