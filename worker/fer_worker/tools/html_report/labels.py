"""Places and stretches of an axis in words, and where an axis has its labels."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fer_worker.tools.html_report.bins import TIMES_MS
from fer_worker.tools.html_report.series import Axis, Series

MAX_TICKS: Final = 7

DAY_MS: Final = 86_400_000

EARLIEST_S: Final = datetime(1, 1, 2, tzinfo=UTC).timestamp()
LATEST_S: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()

TICKS_MS: Final = tuple(
    sorted({*TIMES_MS, *(n * 1000 for n in (2, 10, 20, 120, 600, 1200, 7200, 14400, 172800))})
)


@dataclass(frozen=True)
class Tick:
    """A label under an axis."""

    percent: float
    """Of the axis' length."""
    text: str


def stretch(axis: Axis, start: int, width: int) -> str:
    """Name the stretch of an axis from a place on."""
    if axis is Axis.ORDER:
        return f"frame {start}" if width == 1 else f"frames {start} to {start + width - 1}"
    if axis is Axis.CLIP:
        return f"{_clip_time(start, width)} to {_clip_time(start + width, width)}"
    end = moment(start + width, width) if width >= DAY_MS else _clock_time(start + width, width)
    return f"{moment(start, width)} to {end}"


def place(series: Series, at: int) -> str:
    """Name one place on the axis of a series."""
    if series.key.axis is Axis.ORDER:
        return f"frame {at}"
    if series.key.axis is Axis.CLIP:
        return _clip_time(at)
    within_a_day = series.start // DAY_MS == series.end // DAY_MS
    return _clock_time(at) if within_a_day else moment(at)


def period(series: Series) -> str:
    """Say from when to when the frames of a series are."""
    start, end = series.start, series.end
    if series.key.axis is Axis.ORDER:
        return "in the order of the results"
    if series.key.axis is Axis.CLIP:
        return f"{_clip_time(start)} to {_clip_time(end)} of the clip"
    return between(start, end)


def between(start_ms: int, end_ms: int) -> str:
    """Say from when to when, by the clock; the date once, if it is the same."""
    same_day = start_ms // DAY_MS == end_ms // DAY_MS
    end = _clock_time(end_ms) if same_day else moment(end_ms)
    return f"{moment(start_ms)} to {end} UTC"


def duration(ms: int) -> str:
    """Say how long a stretch of time is."""
    for unit, name in ((DAY_MS, "d"), (3_600_000, "h"), (60_000, "min")):
        if ms >= unit and ms % unit == 0:
            return f"{ms // unit} {name}"
    return f"{ms / 1000:g} s"


def steps(series: Series) -> str:
    """Say how wide the bins of a series are."""
    width = series.bins.width
    if series.key.axis is Axis.ORDER:
        return "frame by frame" if width == 1 else f"in steps of {width:,} frames"
    return f"in steps of {duration(width)}"


def axis_title(series: Series) -> str:
    """Name what the frames of a series are laid out along."""
    return {
        Axis.ORDER: "number of the frame, in the order of the results",
        Axis.CLIP: "time in the clip, in minutes and seconds",
        Axis.CLOCK: "time of day, UTC",
    }[series.key.axis]


def ticks(series: Series) -> Iterable[Tick]:
    """Place labels along the bins of a series."""
    bins = series.bins
    start, end = bins.range.start * bins.width, bins.range.stop * bins.width
    label: Callable[[int, int], str]
    if series.key.axis is Axis.ORDER:
        step = max(int(round_up((end - start) / MAX_TICKS)), 1)
        label = "{0}".format
    else:
        enough = (end - start) / MAX_TICKS
        step = next((ms for ms in TICKS_MS if ms >= enough), TICKS_MS[-1])
        while step < enough:
            step *= 2
        label = _clip_time if series.key.axis is Axis.CLIP else _tick_time
    for at in range(-(-start // step) * step, end + 1, step):
        yield Tick(100 * (at - start) / (end - start), label(at, step))


def round_up(value: float) -> float:
    """Give the next number of the form 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next((n * power for n in (1, 2, 5) if n * power >= value * 0.999), 10 * power)


def moment(ms: int, precision_ms: int = 1000) -> str:
    """Name a moment, UTC."""
    return f"{_utc(ms).date()} {_clock_time(ms, precision_ms)}"


def _clock_time(ms: int, precision_ms: int = 1000) -> str:
    if precision_ms < 1000:
        return f"{_utc(ms):%H:%M:%S}.{ms % 1000 // 100}"
    return f"{_utc(ms):%H:%M:%S}" if precision_ms < 60_000 else f"{_utc(ms):%H:%M}"


def _clip_time(ms: int, precision_ms: int = 100) -> str:
    minutes, rest = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    tenths = f".{rest % 1000 // 100}" if precision_ms < 1000 else ""
    seconds = f"{rest // 1000:02}{tenths}"
    return f"{hours}:{minutes:02}:{seconds}" if hours else f"{minutes}:{seconds}"


def _tick_time(ms: int, step: int) -> str:
    return f"{_utc(ms):%d %b}" if ms % DAY_MS == 0 else _clock_time(ms, step)


def _utc(ms: int) -> datetime:
    # The bins of the first and the last year that there are may reach beyond them.
    return datetime.fromtimestamp(min(max(ms / 1000, EARLIEST_S), LATEST_S), UTC)
