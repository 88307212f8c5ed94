"""The picture in the README, frames/s and memory by contender; and what the size of a face does."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import matplotlib.pyplot as plt

from benchmarks.machine import Machine
from benchmarks.report import Bar, FaceSizeRow, Report
from benchmarks.tables import number

IMAGE: Final = Path(__file__).parents[1] / "docs" / "images" / "benchmark.png"

FER_COLOUR: Final = "#9aa5b1"
OWN_COLOUR: Final = "#2a7f62"
LINE_COLOURS: Final = ("#d98e04", "#3f6fb5", OWN_COLOUR)


def draw(report: Report, path: Path = IMAGE) -> None:
    """Write the plot as a PNG."""
    plt.switch_backend("Agg")
    figure, (speed, memory) = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
    figure.suptitle(_where_and_when(report.machine, report.started_at), fontsize=9)
    bars = report.bars
    _bars(speed, "frames/s, more is better", bars, [bar.frames_per_second for bar in bars])
    _bars(memory, "memory in MB, less is better", bars, [bar.memory_mb for bar in bars])
    memory.tick_params(labelleft=False)
    figure.savefig(path, dpi=144)
    plt.close(figure)


def draw_face_sizes(
    rows: Sequence[FaceSizeRow], machine: Machine, measured: date, path: Path
) -> None:
    """Write the plot of frames/s and of faces found, a line per frame size, as a PNG."""
    plt.switch_backend("Agg")
    figure, (first, every, found) = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
    figure.suptitle(_where_and_when(machine, measured), fontsize=9)
    _lines(first, "first face, frames/s", rows, lambda row: row.first_face)
    _lines(every, "all faces, frames/s", rows, lambda row: row.all_faces)
    _lines(found, "known faces found, %", rows, lambda row: 100 * row.found / row.known)
    first.legend(fontsize=8, frameon=False)
    figure.supxlabel("--min-face-size in pixels; ◇ per cent of the longer side", fontsize=9)
    figure.savefig(path, dpi=144, format="png")
    plt.close(figure)


def _lines(
    axes: plt.Axes,
    title: str,
    rows: Sequence[FaceSizeRow],
    value: Callable[[FaceSizeRow], float],
) -> None:
    for colour, frames in zip(LINE_COLOURS, dict.fromkeys(row.frames for row in rows), strict=True):
        line = sorted((row for row in rows if row.frames == frames), key=lambda row: row.pixels)
        pixels = [row.pixels for row in line]
        axes.plot(pixels, list(map(value, line)), color=colour, label=frames)
        for row in line:
            look = {"marker": "D", "markerfacecolor": "white", "markersize": 7}
            if not row.min_face_size.endswith("%"):
                look = {"marker": "o", "markersize": 4}
            axes.plot(row.pixels, value(row), color=colour, **look)
    axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def _where_and_when(machine: Machine, measured: date) -> str:
    return f"{machine.cpu}, {machine.cores} cores; {measured:%Y-%m-%d}"


def _bars(axes: plt.Axes, title: str, bars: Sequence[Bar], values: Sequence[float]) -> None:
    colours = [FER_COLOUR if bar.name.startswith("fer,") else OWN_COLOUR for bar in bars]
    drawn = axes.barh([bar.name for bar in bars], values, color=colours)
    axes.bar_label(drawn, [number(value) for value in values], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(left=False, bottom=False, labelbottom=False)
