"""Steps of load as a picture: throughput, latency and stages over the pace. Needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib.pyplot as plt

from fer_worker.metrics import PER_FRAME
from fer_worker.quantiles import PERCENTILES
from fer_worker.tools.loadtest.measurement import STAGES, ClosedLoop, Step, Window

INK: Final = "#33414e"
GRID: Final = "#e4e8ec"
BAR_WIDTH: Final = 0.62

THROUGHPUT: Final = "#2a7f62"
UNSTABLE: Final = "#a9cfc0"
LATENCIES: Final = dict(zip(PERCENTILES, ("#9ecae1", "#5ba3cf", "#2171b5", "#08306b"), strict=True))
STAGE_COLOURS: Final = dict(
    zip(
        STAGES,
        ("#b9c3cd", "#8295a8", "#f2c14e", "#2a7f62", "#8fd0b3", "#cdbfe3", "#c26d5c"),
        strict=True,
    )
)


def draw(steps: Sequence[Step], title: str, path: Path) -> None:
    """Write a PNG; a step without samples leaves a gap.

    Raises:
        OSError: it cannot be written.
    """
    plt.switch_backend("Agg")
    with plt.rc_context(
        {
            "font.size": 9,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.titlelocation": "left",
            "axes.titlesize": 10,
        }
    ):
        width = max(12.0, 5 + len(steps))
        figure, (throughput, latency, stages) = plt.subplots(
            1, 3, figsize=(width, 4), layout="constrained", width_ratios=(1, 1, 1.3)
        )
        figure.suptitle(title, fontsize=11, fontweight="bold")
        _throughput(throughput, steps)
        _latency(latency, steps)
        _stages(stages, steps)
        for axes in (throughput, latency, stages):
            _finish(axes, steps)
        if any(not step.stable for step in steps):
            figure.supxlabel("* not stable: the last windows did not agree", fontsize=8)
        figure.savefig(path, dpi=144, format="png")
        plt.close(figure)


def _throughput(axes: plt.Axes, steps: Sequence[Step]) -> None:
    axes.set_title("throughput, frames/s")
    drawn = axes.bar(
        range(len(steps)),
        [step.last.frames_per_s for step in steps],
        width=BAR_WIDTH,
        color=[THROUGHPUT if step.stable else UNSTABLE for step in steps],
    )
    axes.bar_label(drawn, [f"{step.last.frames_per_s:.1f}" for step in steps], padding=2)
    axes.margins(y=0.12)


def _latency(axes: plt.Axes, steps: Sequence[Step]) -> None:
    axes.set_title("latency per batch, ms")
    places = range(len(steps))
    for percent, colour in LATENCIES.items():
        axes.plot(
            places,
            [step.last.percentile(percent) for step in steps],
            color=colour,
            marker="o",
            markersize=4,
            label=f"p{percent}",
        )
    axes.set_ylim(bottom=0)
    axes.margins(x=0.12)
    _legend(axes)


def _stages(axes: plt.Axes, steps: Sequence[Step]) -> None:
    axes.set_title("where the time goes, mean ms per batch")
    bottoms = [0.0] * len(steps)
    shares = [side_by_side(step.last) for step in steps]
    for stage, colour in STAGE_COLOURS.items():
        heights = [max(share[stage], 0.0) for share in shares]
        places = range(len(steps))
        axes.bar(places, heights, BAR_WIDTH, bottom=bottoms, color=colour, label=stage)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    _legend(axes)


def _legend(axes: plt.Axes) -> None:
    """Name what is drawn beside it, in the order from top to bottom."""
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1], labels[::-1], frameon=False, loc="center left", bbox_to_anchor=(1, 0.5)
    )


def side_by_side(window: Window) -> dict[str, float]:
    """Mean ms of each stage, so that they add up to the mean latency.

    Frames run side by side, so that their work may be more than the time they took: it is scaled
    down to that.
    """
    means = {stage: window.mean(stage) or 0.0 for stage in STAGES}
    spent = (window.mean("worker") or 0.0) - means["wait"]
    total = sum(means[stage] for stage in PER_FRAME)
    scale = spent / total if total else 0.0
    return {stage: mean * scale if stage in PER_FRAME else mean for stage, mean in means.items()}


def _finish(axes: plt.Axes, steps: Sequence[Step]) -> None:
    """Label the paces, and take away what is not needed."""
    closed = isinstance(steps[0].pace, ClosedLoop)
    axes.set_xlabel("batches under way" if closed else "batches sent per second")
    names = [f"{step.pace.number:g}{'' if step.stable else '*'}" for step in steps]
    axes.set_xticks(range(len(steps)), names)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
