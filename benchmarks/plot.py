"""The picture in the README: frames/s and memory, a bar a contender."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib.pyplot as plt

from benchmarks.report import Bar, Report
from benchmarks.tables import number

IMAGE: Final = Path(__file__).parents[1] / "docs" / "images" / "benchmark.png"

FER_COLOUR: Final = "#9aa5b1"
OWN_COLOUR: Final = "#2a7f62"


def draw(report: Report, path: Path = IMAGE) -> None:
    """Write the plot as a PNG."""
    machine = report.machine
    plt.switch_backend("Agg")
    figure, (speed, memory) = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
    figure.suptitle(
        f"{machine.cpu}, {machine.cores} cores; {report.started_at:%Y-%m-%d}", fontsize=9
    )
    bars = report.bars
    _bars(speed, "frames/s, more is better", bars, [bar.frames_per_second for bar in bars])
    _bars(memory, "memory in MB, less is better", bars, [bar.memory_mb for bar in bars])
    memory.tick_params(labelleft=False)
    figure.savefig(path, dpi=144)
    plt.close(figure)


def _bars(axes: plt.Axes, title: str, bars: Sequence[Bar], values: Sequence[float]) -> None:
    colours = [FER_COLOUR if bar.name.startswith("fer,") else OWN_COLOUR for bar in bars]
    drawn = axes.barh([bar.name for bar in bars], values, color=colours)
    axes.bar_label(drawn, [number(value) for value in values], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(left=False, bottom=False, labelbottom=False)
