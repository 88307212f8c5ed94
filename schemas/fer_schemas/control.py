"""What operators and supervisors say to each other over the exchange `fer.control`."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from fer_schemas._base import Command, Message, known


class ScaleCommand(Command):
    """Run another number of processes from now on: `processes` of them, or `change` more."""

    kind: Literal["scale"] = "scale"
    processes: Annotated[int | None, Field(ge=0)] = None
    change: int | None = None
    host: Annotated[str | None, Field(description="Only supervisors of this host; null: all.")] = (
        None
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "ScaleCommand":
        if (self.processes is None) == (self.change is None):
            raise ValueError("exactly one of processes and change is needed")
        return self


class StatusQuery(Command):
    """Ask every supervisor for its `SupervisorStatus`."""

    kind: Literal["status"] = "status"


ControlCommand = Annotated[ScaleCommand | StatusQuery, Field(discriminator="kind")]
CONTROL_COMMAND: TypeAdapter[ScaleCommand | StatusQuery] = TypeAdapter(ControlCommand)
"""Reads either command."""


class ScaleReply(Message):
    """Sent twice by each addressed supervisor: at once, and when the change is complete."""

    kind: Literal["scale"] = "scale"
    host: str
    pid: int
    before: int
    after: int
    complete: bool
    error: Annotated[str | None, Field(description="Why it was refused; then nothing changed.")] = (
        None
    )


class Percentiles(Message):
    """Of durations in milliseconds, over the last minute."""

    p50: float
    p95: float


class ProcessStatus(Message):
    """One worker process as its supervisor sees it."""

    pid: int
    state: Annotated[str, known("starting", "ready", "not_ready", "draining")]
    uptime_s: float
    batches: Annotated[int, Field(description="Answered or dead-lettered since it started.")]
    frames: Annotated[int, Field(description="Analysed since it started.")]
    in_flight: Annotated[int, Field(description="Batches taken and not yet ended.")]
    frames_per_s: Annotated[float, Field(description="Over the last minute.")] = 0.0
    stages_ms: Annotated[
        dict[str, Percentiles],
        Field(
            default_factory=dict,
            description="`queued` and `publish` of a batch; `decode`, `detect` and `classify` of a "
            "frame; `total` of a batch, from delivery to ack. Stages without any are left out.",
        ),
    ]
    resident_bytes: Annotated[int, Field(description="Memory; 0 where it is not known.")] = 0
    restarts: Annotated[int, Field(description="How many before it died in its place.")] = 0
    last_error: Annotated[str | None, Field(description="How the last of those ended.")] = None


class SupervisorStatus(Message):
    """One supervisor and its processes."""

    kind: Literal["status"] = "status"
    host: str
    pid: int
    software: Annotated[str, Field(description="Version of fer-worker.")]
    engine: str
    kernel: Annotated[
        str | None, Field(description="The code that computes; null where it is not ours.")
    ] = None
    desired: int
    autoscale: Annotated[
        tuple[int, int] | None,
        Field(description="The least and the most processes, where the supervisor decides."),
    ] = None
    restarts: Annotated[int, Field(description="Processes that died and were replaced.")]
    resident_bytes: Annotated[int, Field(description="Memory of the supervisor itself.")] = 0
    processes: tuple[ProcessStatus, ...]


CONTROL_REPLY: TypeAdapter[ScaleReply | SupervisorStatus] = TypeAdapter(
    Annotated[ScaleReply | SupervisorStatus, Field(discriminator="kind")]
)
"""Reads either reply."""
