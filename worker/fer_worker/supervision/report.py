"""What a worker process tells its supervisor."""

from dataclasses import dataclass

from fer_worker.metrics import Counts
from fer_worker.serving.progress import Progress


@dataclass(frozen=True)
class Report:
    """How a worker process is."""

    progress: Progress
    counts: Counts
    resident_bytes: int
    draining: bool
