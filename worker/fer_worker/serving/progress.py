"""What a service is at, as its worker process reports it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """What a service is at."""

    consuming: bool = False
    in_flight: int = 0
    unroutable: int = 0
    """Requests done but unacked, because no queue takes what became of them."""
    working_since: float | None = None
    """When the oldest step under way (reading a request, analysing a frame) began, on the monotonic
    clock, which all processes of a machine share. None while nothing is computed: idle, or waiting
    for the broker."""

    @property
    def ready(self) -> bool:
        """Whether requests are taken and answered."""
        return self.consuming and not self.unroutable
