"""A supervisor and its processes at one moment, for who watches it."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from fer_schemas import SupervisorStatus
from fer_worker.inference.types import EngineOptions
from fer_worker.metrics import MetricsSnapshot

STATES: Final = ("starting", "ready", "not_ready", "draining")


@dataclass(frozen=True)
class Snapshot:
    """A supervisor and its processes at one moment."""

    status: SupervisorStatus
    counts: MetricsSnapshot
    """Of all processes there have been, and of the supervisor itself."""
    engine: EngineOptions
    threads: int
    """Of each process."""
    unroutable: int
    """Requests done but unacked, because no queue takes what became of them."""
    connected: bool
    """Whether the supervisor hears commands."""
    published: float = field(default_factory=time.monotonic)

    @property
    def states(self) -> Counter[str]:
        """How many processes are at what."""
        return Counter(process.state for process in self.status.processes)

    @property
    def not_ready(self) -> str | None:
        """Why no batch is answered here at the moment, or None if batches are."""
        if self.states["ready"]:
            return None
        if not self.status.desired:
            return "paused"
        if not self.connected:
            return "not connected to the broker"
        return "no queue takes results" if self.unroutable else "starting"
