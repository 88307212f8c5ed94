"""What a process counts of its work, and how such counts add up.

Every worker process has a `MetricsRecorder` and reports its `MetricsSnapshot`. Its supervisor adds
those of its processes up for Prometheus, and takes differences (`SlidingWindow`) for what `status`
says of the last minute.
"""

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, Literal

STAGES: Final = ("queued", "decode", "detect", "classify", "publish")
"""Where time goes: `decode`, `detect` and `classify` of a frame; `queued` (from `sent_at` to
delivery) and `publish` (from result to confirmed outcome) of a request."""

PER_FRAME: Final = ("decode", "detect", "classify")
"""Stages that `status`, `bench` and `report` show per frame, and the others per batch."""

Total = Literal["frames", "damaged_frames", "faces", "redeliveries", "reconnects"]

BUCKETS_S: Final = (
    *(digits * 10.0**power for power in (-3, -2, -1, 0) for digits in (1, 1.5, 2, 3, 5, 7)),
    10.0,
    30.0,
)
"""Upper bounds of a histogram's buckets in seconds. Six per decade: a percentile read off them is
right to within a third, and mostly to a tenth."""


@dataclass(frozen=True)
class Histogram:
    """Durations, by bucket."""

    counts: tuple[int, ...] = (0,) * (len(BUCKETS_S) + 1)
    """How many were at most `BUCKETS_S[i]` and more than the bound before; the last: longer."""
    sum_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what another process may have made up."""
        if len(self.counts) != len(BUCKETS_S) + 1:
            raise ValueError("as many counts as buckets")

    def __add__(self, other: "Histogram") -> "Histogram":
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Histogram(counts, self.sum_s + other.sum_s)

    def __sub__(self, earlier: "Histogram") -> "Histogram":
        counts = tuple(a - b for a, b in zip(self.counts, earlier.counts, strict=True))
        return Histogram(counts, self.sum_s - earlier.sum_s)

    @property
    def count(self) -> int:
        """How many durations."""
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """Seconds that this share of the durations (0..1) did not exceed; None without any.

        Interpolated within its bucket, as Prometheus' `histogram_quantile` does; what is longer
        than the last bound is taken for that bound.
        """
        if self.count == 0:
            return None
        rank = share * self.count
        below = 0
        for index, upto in enumerate(accumulate(self.counts[:-1])):
            if upto >= rank and upto > below:
                start = BUCKETS_S[index - 1] if index else 0.0
                inside = (rank - below) / (upto - below)
                return start + (BUCKETS_S[index] - start) * inside
            below = upto
        return BUCKETS_S[-1]


def _no_durations() -> dict[str, Histogram]:
    return {stage: Histogram() for stage in STAGES}


@dataclass(frozen=True)
class MetricsSnapshot:
    """What was done, since a process began or between two moments. Picklable."""

    requests: Counter[str] = field(default_factory=Counter)
    """Requests that ended, by outcome: the status of their result, or `dead_lettered`."""
    dead_lettered: Counter[str] = field(default_factory=Counter)
    """Requests that were dead-lettered, by error code."""
    totals: Counter[Total] = field(default_factory=Counter)
    stages: Mapping[str, Histogram] = field(default_factory=_no_durations)
    took: Histogram = Histogram()
    """Of requests, from delivery to ack."""
    busy_s: float = 0.0
    """Seconds that threads of the pool were at work, whatever came of it."""

    def __post_init__(self) -> None:
        """Refuse what another process may have made up."""
        if set(self.stages) != set(STAGES):
            raise ValueError("all stages and no others")

    def __add__(self, other: "MetricsSnapshot") -> "MetricsSnapshot":
        return MetricsSnapshot(
            self.requests + other.requests,
            self.dead_lettered + other.dead_lettered,
            self.totals + other.totals,
            {stage: self.stages[stage] + other.stages[stage] for stage in STAGES},
            self.took + other.took,
            self.busy_s + other.busy_s,
        )

    def __sub__(self, earlier: "MetricsSnapshot") -> "MetricsSnapshot":
        return MetricsSnapshot(
            self.requests - earlier.requests,
            self.dead_lettered - earlier.dead_lettered,
            self.totals - earlier.totals,
            {stage: self.stages[stage] - earlier.stages[stage] for stage in STAGES},
            self.took - earlier.took,
            self.busy_s - earlier.busy_s,
        )


class _Durations:
    """A histogram while it grows."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(BUCKETS_S, seconds)] += 1
        self._sum_s += seconds

    @property
    def histogram(self) -> Histogram:
        return Histogram(tuple(self._counts), self._sum_s)


class MetricsRecorder:
    """Counts what a process does. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._dead_lettered: Counter[str] = Counter()
        self._totals: Counter[Total] = Counter()
        self._stages = {stage: _Durations() for stage in STAGES}
        self._took = _Durations()
        self._busy_s = 0.0

    @property
    def counts(self) -> MetricsSnapshot:
        """What was counted so far."""
        with self._lock:
            return MetricsSnapshot(
                self._requests.copy(),
                self._dead_lettered.copy(),
                self._totals.copy(),
                {stage: durations.histogram for stage, durations in self._stages.items()},
                self._took.histogram,
                self._busy_s,
            )

    def add(self, total: Total, number: int = 1) -> None:
        """Count something that has just happened, or several."""
        with self._lock:
            self._totals[total] += number

    def worked(self, seconds: float) -> None:
        """Count the time of a thread of the pool."""
        with self._lock:
            self._busy_s += seconds

    def frame(self, faces: int, *, decode_s: float, detect_s: float, classify_s: float) -> None:
        """Count an analysed frame, and the faces in it."""
        with self._lock:
            self._totals["frames"] += 1
            self._totals["faces"] += faces
            self._stages["decode"].add(decode_s)
            self._stages["detect"].add(detect_s)
            self._stages["classify"].add(classify_s)

    def answered(
        self, status: str, *, queued_s: float | None, publish_s: float, took_s: float
    ) -> None:
        """Count a request whose result a queue has taken.

        Args:
            status: of the result.
            queued_s: from `sent_at` to delivery, if known.
            publish_s: from result to confirmed outcome.
            took_s: from delivery to ack.
        """
        with self._lock:
            self._requests[status] += 1
            if queued_s is not None:
                self._stages["queued"].add(queued_s)
            self._stages["publish"].add(publish_s)
            self._took.add(took_s)

    def dead_lettered(self, reason: str) -> None:
        """Count a request that was dead-lettered, by error code."""
        with self._lock:
            self._requests["dead_lettered"] += 1
            self._dead_lettered[reason] += 1


class SlidingWindow:
    """Counts of one process over the last minute, a look per second."""

    SPAN_S: Final = 60.0

    def __init__(self) -> None:
        self._looks: deque[tuple[float, MetricsSnapshot]] = deque()

    def add(self, moment_s: float, counts: MetricsSnapshot) -> None:
        """Take down what was counted up to a moment on the monotonic clock."""
        looks = self._looks
        if len(looks) > 1 and moment_s - looks[-2][0] < 1.0:
            looks.pop()
        looks.append((moment_s, counts))
        while looks[0][0] < moment_s - self.SPAN_S:
            looks.popleft()

    def over(self, span_s: float = SPAN_S) -> tuple[MetricsSnapshot, float]:
        """Return what was counted in the last seconds, and how many seconds that really were."""
        if not self._looks:
            return MetricsSnapshot(), 0.0
        last, counts = self._looks[-1]
        since, earlier = next(look for look in self._looks if look[0] >= last - span_s)
        return counts - earlier, last - since
