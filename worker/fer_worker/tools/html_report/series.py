"""The course of one camera or clip over time."""

from datetime import UTC, datetime
from enum import StrEnum
from statistics import median
from typing import Final, NamedTuple

from fer_worker.tools.face_table import Row
from fer_worker.tools.html_report.bins import TIMES_MS, Bins, twice, wider_count, wider_time
from fer_worker.tools.html_report.counts import Best, Counts, begins_frame

INTERVALS: Final = 500
"""As many times between two frames are looked at to learn how often frames come."""

LONGEST_CLIP_S: Final = 1e9


class Axis(StrEnum):
    """What the frames of a series are laid out along."""

    CLOCK = "clock"
    """When they were taken, in ms since 1970, UTC."""
    CLIP = "clip"
    """The time in their clip, in ms."""
    ORDER = "order"
    """Their order in the results, from 0: pictures that have no time."""


class SeriesKey(NamedTuple):
    """Which frames belong together: those of a camera, of a clip, or single pictures."""

    axis: Axis
    camera_id: str | None
    source: str | None
    """The clip; a camera's address, where it has no id. None for single pictures."""


class Series:
    """What is known of one camera, one clip, or single pictures in a row."""

    def __init__(self, key: SeriesKey) -> None:
        """Begin without frames."""
        self.key = key
        self.frames = 0
        self.sources: tuple[str, ...] = ()
        """Of the first frame and of the last one."""
        self.start = 0
        self.end = 0
        """Places of the earliest and the latest frame on the axis."""
        self.bins: Bins[Counts] = (
            Bins(Counts, 1, wider_count)
            if key.axis is Axis.ORDER
            else Bins(Counts, TIMES_MS[0], wider_time)
        )
        self.batches = 0
        """Those with a face."""
        self.best: Bins[Best] = Bins(Best, 1, twice)
        """Along the number of the batch."""
        self._place = 0
        self._intervals: list[int] = []

    def add(self, row: Row) -> None:
        """Take a row; those of a frame follow each other."""
        if begins_frame(row):
            self._move_to(place_of(row, self.key.axis, self.frames))
            self.sources = (*self.sources[:1], row.source)
            self.frames += 1
        self.bins.at(self._place).add(row)

    def offer(self, row: Row) -> None:
        """Take the most relevant frame of a batch, by the row of its largest face."""
        self.best.at(self.batches).offer(row)
        self.batches += 1

    def finish(self) -> None:
        """Widen bins some of which would be empty only because frames come less often."""
        while self._intervals and self.bins.width < 1.5 * median(self._intervals):
            self.bins.widen()

    def total(self) -> Counts:
        """Add up all bins."""
        total = Counts()
        for counts in self.bins:
            total.absorb(counts)
        return total

    def _move_to(self, place: int) -> None:
        if self.frames == 0:
            self.start = self.end = place
        elif (
            self.key.axis is not Axis.ORDER
            and place != self._place
            and len(self._intervals) < INTERVALS
        ):
            self._intervals.append(abs(place - self._place))
        self.start, self.end = min(self.start, place), max(self.end, place)
        self._place = place


def key_of(row: Row) -> SeriesKey:
    """Say which series a row belongs to."""
    if row.captured_at is not None:
        return SeriesKey(Axis.CLOCK, row.camera_id, row.source if row.camera_id is None else None)
    if row.position_s is not None:
        return SeriesKey(Axis.CLIP, row.camera_id, row.source)
    return SeriesKey(Axis.ORDER, row.camera_id, None)


def place_of(row: Row, axis: Axis, number: int) -> int:
    """Say where a frame is on its axis; `number` is its place in the order."""
    if axis is Axis.CLOCK:
        assert row.captured_at is not None
        return milliseconds(row.captured_at)
    if axis is Axis.CLIP:
        assert row.position_s is not None
        return round(min(max(row.position_s, 0.0), LONGEST_CLIP_S) * 1000)
    return number


def milliseconds(moment: datetime) -> int:
    """Count the milliseconds since 1970, UTC."""
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
