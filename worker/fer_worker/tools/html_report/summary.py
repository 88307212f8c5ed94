"""What all rows come to."""

from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Final

from fer_worker.metrics import PER_FRAME, STAGES
from fer_worker.tools.face_table import Row
from fer_worker.tools.html_report.counts import Counts, begins_frame, scores_of
from fer_worker.tools.html_report.series import Series, SeriesKey, key_of, milliseconds
from fer_worker.tools.submission.answers import own_time

IN_WORKER: Final = tuple(stage for stage in STAGES if stage != "publish")

COLUMNS: Final = {time: f"{time}_ms" for time in ("latency", *IN_WORKER, "total")}
"""Times of a batch, and the columns they are in. A result cannot say how long it is published."""

LONGEST_MS: Final = 1e9
"""Eleven days. A clock that says more is wrong, and figures stay readable."""

MAX_SERIES: Final = 32
"""Cameras and clips that are drawn. The frames of others are only counted."""

MAX_CODES: Final = 100
"""Codes of errors that are told apart; there are about 25."""


class Summary:
    """Counts of everything, and the series."""

    def __init__(self) -> None:
        """Begin without rows."""
        self.series: dict[SeriesKey, Series] = {}
        self.not_drawn = Counts()
        """Frames beyond `MAX_SERIES`."""
        self.batches = 0
        self.answered = 0
        self.sent: tuple[int, int] | None = None
        """When the first and the last batch were, in ms since 1970, UTC."""
        self.times: dict[str, array[float]] = {stage: array("d") for stage in COLUMNS}
        """In ms; of each batch that has them, the mean of its frames for those `PER_FRAME`. Latency
        of files is without the time for which their batches waited for each other."""
        self.errors: Counter[str] = Counter()
        """Frames by the code of what went wrong."""
        self.examples: dict[str, str] = {}
        """For each code, the first of those frames."""

    def add(self, rows: Iterable[Row]) -> None:
        """Take all rows, in the order in which they were written."""
        first: Row | None = None
        before: Row | None = None
        frames = 0
        for row in rows:
            if before is None or not _same_batch(before, row):
                self._end_batch(first, frames)
                first, frames = row, 0
            frames += begins_frame(row)
            self._add_row(row)
            before = row
        self._end_batch(first, frames)
        for series in self.series.values():
            series.finish()

    def total(self) -> Counts:
        """Add up everything."""
        total = Counts()
        for part in (*(series.total() for series in self.series.values()), self.not_drawn):
            total.absorb(part)
        return total

    def _end_batch(self, row: Row | None, frames: int) -> None:
        """Count a batch, by its first row and the number of its frames; None is no batch."""
        if row is None:
            return
        self.batches += 1
        self.answered += row.latency_ms is not None
        for stage, column in COLUMNS.items():
            if (value := getattr(row, column)) is not None:
                if stage == "latency" and row.captured_at is None:
                    work = (row.decode_ms, row.detect_ms, row.classify_ms)
                    value = own_time(value, row.queued_ms, row.total_ms, *work)
                elif stage in PER_FRAME:
                    value /= max(frames, 1)
                self.times[stage].append(min(max(value, -LONGEST_MS), LONGEST_MS))
        sent = milliseconds(row.sent_at)
        since, until = self.sent or (sent, sent)
        self.sent = (min(since, sent), max(until, sent))

    def _add_row(self, row: Row) -> None:
        if row.error is not None and begins_frame(row):
            self._add_error(row, row.error)
        series = self._series_of(row)
        if series is None:
            self.not_drawn.add(row)
            return
        series.add(row)
        if row.most_relevant and row.face == 0 and row.emotion and scores_of(row) is not None:
            series.offer(row)

    def _add_error(self, row: Row, code: str) -> None:
        if code not in self.errors and len(self.errors) >= MAX_CODES:
            code = "others"
        self.errors[code] += 1
        self.examples.setdefault(code, row.id or row.source)

    def _series_of(self, row: Row) -> Series | None:
        key = key_of(row)
        if key not in self.series and len(self.series) < MAX_SERIES:
            self.series[key] = Series(key)
        return self.series.get(key)


def _same_batch(before: Row, row: Row) -> bool:
    # A batch without an answer has no id; but the numbers of its frames only go up.
    goes_up = (row.frame, row.face or 0) > (before.frame, before.face or 0)
    return row.batch == before.batch and goes_up
