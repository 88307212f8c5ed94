"""What load comes to: samples of batches, windows of samples, and when windows agree.

Every batch has a moment at which it is **due**: with a fixed concurrency that at which a place got
free, with a fixed rate that which the schedule says. Latency counts from there and not from the
call that sent it, or a sender that falls behind would leave out just those that had to wait
(coordinated omission).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import ClassVar, Final

from fer_worker import metrics
from fer_worker.quantiles import percentile

STAGES: Final = ("client", *metrics.STAGES[:-1], "wait", metrics.STAGES[-1])
"""Fields of a `Sample`, in the order in which a batch goes through them."""

COMPARED: Final = 3
"""Windows in a row that have to agree; a step's figures are those of its last ones."""


@dataclass(frozen=True)
class ClosedLoop:
    """A fixed number of batches under way: an answer makes place for the next one."""

    kind: ClassVar[str] = "concurrency"
    number: int


@dataclass(frozen=True)
class OpenLoop:
    """A fixed rate, whatever the answers do: so many batches per second, evenly spaced."""

    kind: ClassVar[str] = "rate"
    number: float
    in_flight: int = 256
    """At most so many are sent and not answered. Others that are due wait, and that counts."""


Workload = ClosedLoop | OpenLoop


@dataclass(frozen=True)
class Rules:
    """When a step has been measured."""

    window_s: float = 5.0
    stability: float = 0.1
    """How far figures of the last windows may be from their mean, as a share of it."""
    max_windows: int = 10


class Failure(StrEnum):
    """Why a batch is not among the samples."""

    PARTIAL = "partial"
    """Some of its frames could not be analysed."""
    ERROR = "error"
    """None of them could, or the message itself was bad."""
    EXPIRED = "expired"
    """It was answered without being analysed."""
    NO_ANSWER = "no_answer"
    """Nothing came in time."""
    REFUSED = "refused"
    """The queue of requests was full, or gone."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A batch that was analysed in full, and where its time went, in milliseconds.

    `latency` = `client` + `queued` + `worker` + `publish`, one after the other. Within `worker`
    frames run side by side, so that `decode` + `detect` + `classify` may be more than it.
    """

    frames: int
    process: str
    """host/pid that answered."""
    latency: float
    """From the moment it was due until its result was here, by this machine's clock."""
    client: float
    """From the moment it was due until it was stamped `sent_at`: how late this side is."""
    queued: float
    """From `sent_at` until a worker had it, by the clocks of both machines: encoding, the line,
    the broker, and waiting for a worker that has room."""
    worker: float
    """From there until its result was made."""
    decode: float
    """Summed over the frames, as are the next two."""
    detect: float
    classify: float

    @property
    def wait(self) -> float:
        """What `worker` has beyond the work on frames: reading the request, waiting for a thread.

        0 where frames that ran side by side hide it.
        """
        return max(self.worker - self.decode - self.detect - self.classify, 0.0)

    @property
    def publish(self) -> float:
        """What is left of the latency: from the result being made until it was here.

        It takes up what `queued` has too much or too little where the clocks differ, and may be
        negative then.
        """
        return self.latency - self.client - self.queued - self.worker


@dataclass
class Window:
    """What ended within a stretch of time."""

    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    ended: int = 0
    """Batches, those that failed too."""

    @property
    def batches_per_s(self) -> float:
        """Batches analysed in full."""
        return len(self.samples) / self.seconds if self.seconds else 0.0

    @property
    def frames_per_s(self) -> float:
        """Frames of those."""
        frames = sum(sample.frames for sample in self.samples)
        return frames / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float) -> float | None:
        """Latency in ms that so many per cent of the samples do not exceed; None without any."""
        return percentile([sample.latency for sample in self.samples], percent)

    def mean(self, stage: str) -> float | None:
        """Mean of a field of the samples, in ms; None without any."""
        return fmean(getattr(sample, stage) for sample in self.samples) if self.samples else None

    def mean_per_frame(self, stage: str) -> float | None:
        """Mean over the frames of a field that is summed over them, in ms; None without any."""
        frames = sum(sample.frames for sample in self.samples)
        return sum(getattr(sample, stage) for sample in self.samples) / frames if frames else None


@dataclass(frozen=True)
class Step:
    """What was measured at one pace."""

    pace: Workload
    windows: int
    stable: bool
    last: Window
    """The last windows as one. All figures but the failures are of the batches in it."""
    failures: Counter[Failure]
    """From the first batch of the step to the last."""
    interrupted: bool = False

    @property
    def processes(self) -> int:
        """Worker processes that answered."""
        return len({sample.process for sample in self.last.samples})

    @property
    def clocks_differ(self) -> bool:
        """Whether a worker's clock is visibly ahead or behind: no stage takes no time at all."""
        queued, publish = self.last.mean("queued"), self.last.mean("publish")
        return queued is not None and publish is not None and (queued <= 0 or publish < 0)


def merge(windows: Iterable[Window]) -> Window:
    """Make one window of several."""
    merged = Window()
    for window in windows:
        merged.seconds += window.seconds
        merged.samples += window.samples
        merged.ended += window.ended
    return merged


def is_stable(windows: Sequence[Window], pace: Workload, tolerance: float) -> bool:
    """Whether the last windows agree in throughput and p95.

    With a fixed rate they must keep it, too: the latency of a queue that has grown for long looks
    steady from one window to the next.

    Args:
        windows: all of a step so far.
        pace: of the step.
        tolerance: how far figures may be from their mean, and the rate below the pace, as a share.
    """
    last = windows[-COMPARED:]
    tails = [tail for window in last if (tail := window.percentile(95)) is not None]
    if len(tails) < COMPARED:
        return False
    if isinstance(pace, OpenLoop):
        together = merge(last)
        if together.ended / together.seconds < pace.number * (1 - tolerance):
            return False
    return _agree([window.frames_per_s for window in last], tolerance) and _agree(tails, tolerance)


def is_silent(windows: Sequence[Window]) -> bool:
    """Whether nothing has been analysed in the last windows: to go on is of no use."""
    return len(windows) >= COMPARED and not any(window.samples for window in windows[-COMPARED:])


def _agree(figures: Sequence[float], tolerance: float) -> bool:
    mean = fmean(figures)
    return all(abs(figure - mean) <= tolerance * mean for figure in figures)
