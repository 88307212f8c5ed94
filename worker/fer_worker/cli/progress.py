"""What has become of the frames of a run: counted, shown while it goes on, and summed up."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TimeRemainingColumn,
)
from rich.text import Text

from fer_client.errors import NoAnswerError
from fer_worker.quantiles import percentile
from fer_worker.tools.interruption import Interruption
from fer_worker.tools.media import MediaFrame
from fer_worker.tools.submission.answers import Answer

KEPT_LATENCIES = 10_000
"""Of the latest batches: percentiles of a camera's run are those of its last hours."""


class RunStats:
    """Counts frames and faces, and keeps latencies."""

    def __init__(self) -> None:
        self.sent = 0
        self.answered = 0
        self.failed = 0
        """Frames that could not be analysed, or were not taken."""
        self.faces = 0
        self._latencies: deque[float] = deque(maxlen=KEPT_LATENCIES)
        self._started = 0.0
        self._ended = 0.0

    def sending(self, batches: Iterable[list[MediaFrame]]) -> Iterator[list[MediaFrame]]:
        """Count frames on their way to be sent."""
        for batch in batches:
            if batch and not self.sent:
                self._started = self._ended = time.monotonic()
            self.sent += len(batch)
            yield batch

    def take(self, answer: Answer) -> None:
        """Count what became of a batch."""
        found = () if answer.result is None else answer.result.frames
        analysed = sum(frame.width is not None for frame in found)
        self.answered += analysed
        if not isinstance(answer.error, NoAnswerError):
            self.failed += len(answer.frames) - analysed
        self.faces += sum(len(frame.faces) for frame in found)
        if answer.latency_ms is not None:
            self._latencies.append(answer.latency_ms)
        self._ended = time.monotonic()

    def summary(self) -> str:
        """Say all of it in one line."""
        missing = self.sent - self.answered - self.failed
        return (
            f"{self.sent} frames sent, {self.answered} answered, {self.failed} failed, "
            + (f"{missing} without an answer, " if missing else "")
            + f"{self.faces} faces; {self._rate():.1f} frames/s; "
            f"latency p50 {self._latency(50)}, p95 {self._latency(95)}"
        )

    def summary_line(self) -> str:
        """Say what is of interest while it goes on."""
        return (
            f"{self.sent} sent, {self.answered} answered, {self.faces} faces, "
            f"{self._rate():.1f} frames/s, p50 {self._latency(50)}"
        )

    def _rate(self) -> float:
        seconds = self._ended - self._started
        return self.answered / seconds if seconds > 0 else 0.0

    def _latency(self, percent: float) -> str:
        value = percentile(self._latencies, percent)
        return "-" if value is None else f"{value:.0f} ms"


class _Glance(ProgressColumn):
    """The tally as it is now; asked for ten times per second, whatever the answers do."""

    def __init__(self, tally: RunStats, interruption: Interruption) -> None:
        super().__init__()
        self._tally = tally
        self._interruption = interruption

    def render(self, task: Task) -> Text:
        stopping = "; stopping (Ctrl-C: at once)" if self._interruption else ""
        return Text(self._tally.summary_line() + stopping)


@contextmanager
def shown(
    tally: RunStats, total: int | None, interruption: Interruption
) -> Iterator[Callable[[], None]]:
    """Show a tally on stderr while it grows, if that is a terminal.

    Args:
        tally: to be shown.
        total: frames that will be sent; None where nobody knows.
        interruption: shown as well.

    Yields:
        What moves the bar on; to be called after each answer.
    """
    console = Console(stderr=True)
    bar: tuple[ProgressColumn, ...] = (SpinnerColumn(),)
    if total:
        bar = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(
        *bar,
        _Glance(tally, interruption),
        console=console,
        disable=not console.is_terminal,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else results would go where the progress goes
    )
    with progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.update(task, completed=tally.answered + tally.failed)
