"""Figures to draw: shapes in the units of an SVG, and the labels that stand beside it.

Shapes are stretched to the width of the page, and text must not be: so an SVG has shapes alone, and
labels are placed over it in per cent of its width.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fer_schemas import Emotion
from fer_worker.quantiles import percentile
from fer_worker.tools.html_report.counts import Counts
from fer_worker.tools.html_report.labels import MAX_TICKS, Tick, round_up, steps, stretch, ticks
from fer_worker.tools.html_report.series import Series

STACK: Final = (
    *(Emotion.NEUTRAL, Emotion.HAPPY, Emotion.SURPRISE, Emotion.SAD),
    *(Emotion.DISGUST, Emotion.FEAR, Emotion.ANGRY),
)
"""From the bottom up. What alarms hangs from the top, where its extent is read as easily."""

HEIGHT: Final = 100
"""Of every chart, in its own units."""


@dataclass(frozen=True)
class Column:
    """A bin as it is drawn: one unit wide."""

    x: int
    label: str
    """The stretch of the axis that it stands for."""
    counts: Counts
    shares: dict[Emotion, float] | None


@dataclass(frozen=True)
class Course:
    """Emotions over time."""

    bins: int
    """Width of the chart in its own units."""
    steps: str
    """How wide a bin is, in words."""
    columns: tuple[Column, ...]
    """Those with frames."""
    bands: dict[Emotion, str]
    """SVG paths: from the bottom up the mean score of each emotion, and a gap where is no face."""
    outline: str
    """Path around what the bands cover."""
    frames: dict[str, str]
    """SVG paths of the frames of each bin, by what came of them."""
    most_frames: int
    """In a bin: the height of the paths above."""
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Histogram:
    """How many batches took how long."""

    bars: tuple[tuple[str, int], ...]
    """Stretch of time and number of batches, the last bar for all that took longer."""
    path: str
    most: int
    ticks: tuple[Tick, ...]
    marks: tuple[Tick, ...]
    """Median and 95th percentile, if their labels do not touch."""


def course(series: Series) -> Course:
    """Lay out a series."""
    bins = series.bins
    first = bins.range.start
    columns = tuple(
        Column(
            number - first,
            stretch(series.key.axis, number * bins.width, bins.width),
            counts,
            counts.shares(),
        )
        for number, counts in sorted(bins.contents.items())
    )
    most = max(1, *(column.counts.frames for column in columns))
    runs = list(_runs(columns))
    return Course(
        bins=len(bins.range),
        steps=steps(series),
        columns=columns,
        bands=_bands(runs),
        outline="".join(f"M{run[0].x} 0H{run[-1].x + 1}V{HEIGHT}H{run[0].x}Z" for run in runs),
        frames=_frame_bars(columns, most),
        most_frames=most,
        ticks=tuple(ticks(series)),
    )


def histogram(values: Sequence[float]) -> Histogram:
    """Lay out latencies in ms, at least one.

    Bars reach to the 99th percentile; the last one has whatever is beyond, so that one batch that
    took a minute does not press all others into one bar.
    """
    tail = percentile(values, 99) or 0.0
    width = round_up(max(tail - min(values), tail / 50, 0.01) / 30)
    low = math.floor(min(values) / width)
    edges = [number * width for number in range(low, math.floor(tail / width) + 2)]
    counts, _ = np.histogram(values, [*edges, math.inf])
    *inner, beyond = (int(count) for count in counts)
    stretches = [f"{a:g} to {b:g} ms" for a, b in itertools.pairwise(edges)]
    bars = [*zip(stretches, inner, strict=True)]
    if beyond:
        bars.append((f"{edges[-1]:g} ms and more", beyond))
    most = max(count for _, count in bars)
    step = max(math.ceil(len(inner) / (MAX_TICKS - 1)), 1)
    total = len(bars)

    def percent(ms: float) -> float:
        return 100 * (ms / width - low) / total

    median, high = (Tick(percent(percentile(values, n) or 0.0), f"p{n}") for n in (50, 95))
    return Histogram(
        bars=tuple(bars),
        path="".join(
            _bar(x, HEIGHT, HEIGHT * count / most) for x, (_, count) in enumerate(bars) if count
        ),
        most=most,
        ticks=tuple(Tick(percent(edge), f"{edge:g}") for edge in edges[::step]),
        marks=(median, *([high] if high.percent - median.percent > 5 else [])),
    )


def _runs(columns: Iterable[Column]) -> Iterable[list[Column]]:
    """Group columns with faces that touch each other."""
    run: list[Column] = []
    for column in columns:
        if run and (column.shares is None or column.x > run[-1].x + 1):
            yield run
            run = []
        if column.shares is not None:
            run.append(column)
    if run:
        yield run


def _bands(runs: Iterable[Sequence[Column]]) -> dict[Emotion, str]:
    paths = dict.fromkeys(STACK, "")
    for run in runs:
        floor = [0.0] * len(run)
        for emotion in STACK:
            ceiling = [
                low + (column.shares or {}).get(emotion, 0.0)
                for low, column in zip(floor, run, strict=True)
            ]
            if any(high - low >= 0.001 for low, high in zip(floor, ceiling, strict=True)):
                paths[emotion] += _band(run[0].x, floor, ceiling)
            floor = ceiling
    return {emotion: path for emotion, path in paths.items() if path}


def _band(x: int, floor: Sequence[float], ceiling: Sequence[float]) -> str:
    """Draw steps along the ceiling to the right, and along the floor back."""
    steps = [f"V{_y(high)}H{x + i + 1}" for i, high in enumerate(ceiling)]
    back = [f"V{_y(floor[i])}H{x + i}" for i in reversed(range(len(floor)))]
    return f"M{x} {_y(floor[0])}{''.join(steps)}{''.join(back)}Z"


def _y(share: float) -> str:
    return f"{HEIGHT * (1 - share):.1f}".removesuffix(".0")


def _frame_bars(columns: Iterable[Column], most: int) -> dict[str, str]:
    paths = dict.fromkeys(("with a face", "without a face", "failed"), "")
    for column in columns:
        counts, bottom = column.counts, float(HEIGHT)
        parts = (counts.with_face, counts.without_face, counts.failed)
        for name, count in zip(paths, parts, strict=True):
            height = HEIGHT * count / most
            if count:
                paths[name] += _bar(column.x, bottom, height)
            bottom -= height
    return {name: path for name, path in paths.items() if path}


def _bar(x: int, bottom: float, height: float) -> str:
    return f"M{x}.06 {bottom:.1f}v{-height:.1f}h.88v{height:.1f}z"
