"""Steps of load as tables for people, and as rows for machines."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fer_schemas import EngineInfo
from fer_worker.cli.extras import check_extra
from fer_worker.cli.tables import NOTHING, PER_FRAME_NOTE
from fer_worker.metrics import PER_FRAME
from fer_worker.quantiles import PERCENTILES
from fer_worker.tools.files import check_writable, writing
from fer_worker.tools.loadtest.measurement import (
    STAGES,
    ClosedLoop,
    Failure,
    OpenLoop,
    Step,
)

Row = dict[str, float | int | bool | None]


@dataclass(frozen=True)
class Figures:
    """Where figures go: to stdout, and into the files that were asked for."""

    batch_size: int
    csv_path: Path | None
    plot_path: Path | None
    as_json: bool

    def check(self) -> None:
        """Find out what cannot be written while there is nothing to lose.

        Raises:
            FerWorkerError: a file cannot be written, or matplotlib is missing.
        """
        if self.plot_path is not None:
            check_extra("--plot", "matplotlib", "plot")
        check_writable(self.csv_path, self.plot_path)

    def write(self, steps: Sequence[Step], engine: EngineInfo | None) -> None:
        """Print the steps, at least one, and write the files.

        Raises:
            FerWorkerError: a file cannot be written after all.
        """
        if self.as_json:
            document = {
                "batch_size": self.batch_size,
                "engine": engine.model_dump() if engine is not None else None,
                "steps": list(map(row, steps)),
            }
            click.echo(json.dumps(document))
        else:
            console = Console()
            for table in render_steps(steps):
                console.print(table)
                console.print()
        if self.csv_path is not None:
            with (
                writing(self.csv_path),
                self.csv_path.open("w", encoding="utf-8", newline="") as file,
            ):
                write_csv(file, steps)
        if self.plot_path is not None:
            # Not at the top: matplotlib comes with an extra.
            from fer_worker.tools.loadtest.plot import draw

            name = engine.name if engine is not None else "unknown"
            with writing(self.plot_path):
                draw(steps, f"Batches of {self.batch_size} frames, engine {name}", self.plot_path)


def row(step: Step) -> Row:
    """Make one flat row of a step; None where nothing was analysed, or the pace is the other."""
    last = step.last
    return {
        **dict.fromkeys((ClosedLoop.kind, OpenLoop.kind)),
        step.pace.kind: step.pace.number,
        "stable": step.stable,
        "windows": step.windows,
        "seconds": _rounded(last.seconds),
        "batches": len(last.samples),
        "processes": step.processes,
        "frames_per_s": _rounded(last.frames_per_s),
        "batches_per_s": _rounded(last.batches_per_s),
        **{f"p{percent}_ms": _rounded(last.percentile(percent)) for percent in PERCENTILES},
        "mean_ms": _rounded(last.mean("latency")),
        "worker_ms": _rounded(last.mean("worker")),
        **{f"{stage}_ms": _rounded(last.mean(stage)) for stage in STAGES},
        "failed": step.failures.total(),
        **{failure.value: step.failures[failure] for failure in Failure},
    }


def write_csv(file: TextIO, steps: Sequence[Step]) -> None:
    """Write a header, and a row per step."""
    rows = [row(step) for step in steps]
    writer = csv.DictWriter(file, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)


def render_steps(steps: Sequence[Step]) -> Iterator[Table]:
    """Make the two tables for people: how fast, and where the time goes."""
    kind = steps[0].pace.kind
    speed = _table(
        f"by {kind}: throughput, and latency per batch in ms",
        ("", "frames/s", "batches/s", *(f"p{percent}" for percent in PERCENTILES), "failed"),
    )
    speed.add_column()
    stages = _table(
        f"by {kind}: mean ms in each stage",
        ("", *STAGES, "processes"),
    )
    stages.caption, stages.caption_justify = PER_FRAME_NOTE, "left"
    for step in steps:
        last = step.last
        speed.add_row(
            f"{step.pace.number:g}",
            _cell(last.frames_per_s),
            _cell(last.batches_per_s),
            *(_cell(last.percentile(percent)) for percent in PERCENTILES),
            str(step.failures.total()),
            "\n".join(_notes(step)),
        )
        means = (
            _cell(last.mean_per_frame(stage) if stage in PER_FRAME else last.mean(stage))
            for stage in STAGES
        )
        stages.add_row(f"{step.pace.number:g}", *means, str(step.processes))
    yield from (speed, stages)


def _table(title: str, columns: Sequence[str]) -> Table:
    # Narrow, so that large figures have room in 80 columns.
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _notes(step: Step) -> Iterator[str]:
    """What a reader must know before he believes the figures."""
    if step.interrupted:
        yield "interrupted"
    elif not step.stable:
        yield "not stable"
    for failure, count in step.failures.items():
        yield f"{count} {failure.value.replace('_', ' ')}"
    if step.clocks_differ:
        yield "clocks differ"


def _cell(value: float | None) -> Text:
    if value is None:
        return NOTHING
    return Text(f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
