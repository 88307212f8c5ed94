"""What operators and supervisors say to each other over the exchange `fer.control`."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from schemas._base import Message, StrictMessage


class ScaleCommand(StrictMessage):
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


class StatusQuery(StrictMessage):
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


class ProcessStatus(Message):
    """One worker process as its supervisor sees it."""

    pid: int
    state: Literal["starting", "ready", "not_ready", "draining"]
    uptime_s: float
    batches: int
    frames: int
    in_flight: int


class SupervisorStatus(Message):
    """One supervisor and its processes."""

    kind: Literal["status"] = "status"
    host: str
    pid: int
    software: Annotated[str, Field(description="Version of fer-worker.")]
    engine: str
    desired: int
    restarts: int
    processes: tuple[ProcessStatus, ...]


CONTROL_REPLY: TypeAdapter[ScaleReply | SupervisorStatus] = TypeAdapter(
    Annotated[ScaleReply | SupervisorStatus, Field(discriminator="kind")]
)
"""Reads either reply."""
