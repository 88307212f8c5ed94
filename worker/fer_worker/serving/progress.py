"""What a worker process tells its supervisor, over their pipe."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """What a service is at."""

    consuming: bool = False
    in_flight: int = 0
    held: int = 0
    """Requests done but held, because no queue takes their outcome."""
    working_since: float | None = None
    """When the oldest step under way (reading a request, analysing a frame) began, on the monotonic
    clock, which all processes of a machine share. None while nothing is computed: idle, or waiting
    for the broker."""

    @property
    def ready(self) -> bool:
        """Whether requests are taken and answered."""
        return self.consuming and not self.held
