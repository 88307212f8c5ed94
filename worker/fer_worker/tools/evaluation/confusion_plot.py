"""Confusion matrices as a picture. Needs matplotlib."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import matplotlib.pyplot as plt

from fer_schemas import Emotion
from fer_worker.tools.evaluation.scores import Evaluation

INK: Final = "#33414e"
COLOURS: Final = "Greens"
DARK: Final = 0.55
"""Share from which a cell is so dark that its text has to be light."""


def draw(evaluations: Mapping[str, Evaluation], path: Path) -> None:
    """Write a PNG with a matrix for each evaluation, side by side.

    A row is a label: each cell has its share of the row, as its colour too, and the pictures.

    Args:
        evaluations: by their titles; at least one.
        path: written over.

    Raises:
        OSError: it cannot be written.
    """
    plt.switch_backend("Agg")
    style = {"font.size": 9, "text.color": INK, "xtick.color": INK, "ytick.color": INK}
    with plt.rc_context(style | {"axes.labelcolor": INK, "axes.titlelocation": "left"}):
        rows = max(len(evaluation.confusion) for evaluation in evaluations.values())
        figure, panels = plt.subplots(
            1,
            len(evaluations),
            figsize=(7.2 * len(evaluations), 1.9 + 0.62 * rows),
            layout="constrained",
            squeeze=False,
        )
        for axes, (title, evaluation) in zip(panels[0], evaluations.items(), strict=True):
            _panel(axes, title, evaluation)
        figure.savefig(path, dpi=144, format="png")
        plt.close(figure)


def _panel(axes: plt.Axes, title: str, evaluation: Evaluation) -> None:
    answers: list[Emotion | None] = [*Emotion, None]
    totals = [sum(row.values()) for row in evaluation.confusion.values()]
    counts = [[row[answer] for answer in answers] for row in evaluation.confusion.values()]
    shares = [[count / total for count in row] for row, total in zip(counts, totals, strict=True)]
    axes.imshow(shares, cmap=COLOURS, vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            if count:
                axes.text(
                    x,
                    y,
                    f"{100 * shares[y][x]:.0f} %\n{count:,}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if shares[y][x] > DARK else INK,
                )
    accuracy, found = evaluation.of_all.accuracy, evaluation.detection_rate
    axes.set_title(
        f"{textwrap.fill(title, 90)}\n{100 * accuracy.value:.1f} % of "
        f"{evaluation.of_all.pictures:,} right, a face found in {100 * found.value:.1f} %",
        fontsize=9,
    )
    names = [answer.value if answer is not None else "no face" for answer in answers]
    axes.set_xticks(range(len(answers)), names)
    axes.set_yticks(
        range(len(totals)),
        [f"{label}\n{total:,}" for label, total in zip(evaluation.confusion, totals, strict=True)],
    )
    axes.set_xlabel("answer")
    axes.set_ylabel("label, and its pictures")
    # A gap between all cells, a line before those without a face.
    axes.set_xticks([x - 0.5 for x in range(1, len(answers))], minor=True)
    axes.set_yticks([y - 0.5 for y in range(1, len(totals))], minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.axvline(len(Emotion) - 0.5, color=INK, linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
