"""Steps of load as tables, and as rows for machines."""

import csv
from collections.abc import Iterator, Sequence
from typing import TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from worker.cli.tables import NOTHING
from worker.windows import PERCENTILES, STAGES, Closed, Failure, Open, Step

Row = dict[str, float | int | bool | None]


def row(step: Step) -> Row:
    """Make one flat row of a step; None where nothing was analysed, or the pace is the other."""
    last = step.last
    return {
        **dict.fromkeys((Closed.kind, Open.kind)),
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
    """Write a header, and a row a step."""
    rows = [row(step) for step in steps]
    writer = csv.DictWriter(file, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)


def render_steps(steps: Sequence[Step]) -> Iterator[Table]:
    """Make the two tables for people: how fast, and where the time goes."""
    first = steps[0].pace.kind
    speed = _table(
        "throughput, and latency of a batch in ms",
        (first, "frames/s", "batches/s", *(f"p{percent}" for percent in PERCENTILES), "failed"),
    )
    speed.add_column("", overflow="fold")
    stages = _table(
        "mean ms of a batch by stage; decode, detect and classify summed over its frames",
        (first, *STAGES, "processes"),
    )
    for step in steps:
        last = step.last
        speed.add_row(
            f"{step.pace.number:g}",
            _cell(last.frames_per_s),
            _cell(last.batches_per_s, 2),
            *(_cell(last.percentile(percent)) for percent in PERCENTILES),
            str(step.failures.total()),
            "; ".join(_notes(step)),
        )
        means = (_cell(last.mean(stage)) for stage in STAGES)
        stages.add_row(f"{step.pace.number:g}", *means, str(step.processes))
    yield from (speed, stages)


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
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


def _cell(value: float | None, places: int = 1) -> Text:
    return NOTHING if value is None else Text(f"{value:,.{places}f}")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
