"""What has become of the frames of a run: counted, shown while it goes on, and summed up."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from fer_client.errors import NoAnswerError
from fer_worker.quantiles import percentile
from fer_worker.tools.counted import counted
from fer_worker.tools.interruption import Interruption
from fer_worker.tools.media import MediaFrame
from fer_worker.tools.submission.answers import Answer

KEPT_LATENCIES = 10_000
"""Of the latest batches: percentiles of a camera's run are those of its last hours."""

KEPT_FAILURES = 20
"""Frames that are named at the end with why they failed: the first ones."""


class RunStats:
    """Counts frames and faces of one source, and keeps latencies."""

    def __init__(
        self, name: str = "", total: int | None = None, trouble: Callable[[], str] = lambda: ""
    ) -> None:
        """Begin with nothing.

        Args:
            name: of the source, where there may be several.
            total: frames that will be sent; None where nobody knows.
            trouble: says why no frames come now; nothing while they come.
        """
        self.name = name
        self.total = total
        self.trouble = trouble
        self.sent = 0
        self.answered = 0
        self.failed = 0
        """Frames that could not be analysed, or were not taken."""
        self.faces = 0
        self._failures: list[tuple[str, str]] = []
        """Ids of the first frames that a worker could not analyse, and why."""
        self._unnamed = 0
        """How many more of those there were."""
        self._latencies: deque[float] = deque(maxlen=KEPT_LATENCIES)
        self._is_live = False
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
        failed = answer.failed_frames
        kept = failed[: KEPT_FAILURES - len(self._failures)]
        self._failures += kept
        self._unnamed += len(failed) - len(kept)
        self.faces += sum(len(frame.faces) for frame in found)
        self._is_live = answer.is_live
        if (latency_ms := answer.own_time_ms) is not None:
            self._latencies.append(latency_ms)
        self._ended = time.monotonic()

    def summary(self) -> str:
        """Say all of it in one line."""
        missing = self.sent - self.answered - self.failed
        return (
            f"{counted(self.sent, 'frame')} sent, {self.answered} answered, "
            f"{self.failed} failed, "
            + (f"{missing} without an answer, " if missing else "")
            + f"{counted(self.faces, 'face')}; {self._rate():.1f} frames/s; "
            + f"latency per batch{'' if self._is_live else ' without waiting'}: "
            + f"p50 {self._latency(50)}, p95 {self._latency(95)}"
        )

    def failures(self) -> Iterator[str]:
        """Say in a line each which frames a worker could not analyse, and why."""
        for name, why in self._failures:
            yield f"failed: {name}: {why}"
        if self._unnamed:
            yield f"failed: {counted(self._unnamed, 'frame')} more"

    def summary_line(self) -> str:
        """Say what is of interest while it goes on."""
        counts = f"{self.sent} sent, {self.answered} answered, "
        if trouble := self.trouble():
            return counts + trouble
        return (
            counts
            + f"{counted(self.faces, 'face')}, {self._rate():.1f} frames/s, p50 {self._latency(50)}"
        )

    def _rate(self) -> float:
        seconds = self._ended - self._started
        return self.answered / seconds if seconds > 0 else 0.0

    def _latency(self, percent: float) -> str:
        value = percentile(self._latencies, percent)
        return "-" if value is None else f"{value:.0f} ms"


class _Glance(ProgressColumn):
    """Statistics as they are now; asked for ten times per second, whatever the answers do."""

    def __init__(self, interruption: Interruption) -> None:
        super().__init__()
        self._interruption = interruption

    def render(self, task: Task) -> Text:
        stopping = "; stopping (Ctrl-C: at once)" if self._interruption else ""
        line = task.fields["stats"].summary_line() + stopping
        return Text(line, no_wrap=True, overflow="ellipsis")


@contextmanager
def shown(
    runs: Sequence[RunStats], interruption: Interruption
) -> Iterator[Callable[[RunStats], None]]:
    """Show statistics on stderr while they grow, a line each, if that is a terminal.

    Args:
        runs: to be shown.
        interruption: shown as well.

    Yields:
        What moves the bar of one on; to be called after each of its answers.
    """
    console = Console(stderr=True)
    bar: tuple[ProgressColumn, ...] = (SpinnerColumn(),)
    if len(runs) == 1 and runs[0].total:
        bar = (BarColumn(bar_width=10), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(
        *bar,
        *([TextColumn("{task.description}", markup=False)] if len(runs) > 1 else []),
        _Glance(interruption),
        console=console,
        disable=not console.is_terminal,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else results would go where the progress goes
    )
    with progress:
        tasks = {
            stats: progress.add_task(stats.name, total=stats.total, stats=stats) for stats in runs
        }
        yield lambda stats: progress.update(tasks[stats], completed=stats.answered + stats.failed)
