import csv
import io
from collections import Counter

from rich.console import Console

from fer_worker.cli.bench_report import render_steps, row, write_csv
from fer_worker.tools.loadtest.measurement import (
    ClosedLoop,
    Failure,
    OpenLoop,
    Step,
    Window,
    Workload,
)
from tests.unit.test_windows import sample


def step(
    pace: Workload,
    latency: float | None = 100.0,
    *,
    stable: bool = True,
    interrupted: bool = False,
    **failures: int,
) -> Step:
    samples = [] if latency is None else [sample(latency)] * 30
    counted = Counter({Failure(name): count for name, count in failures.items()})
    return Step(pace, 3, stable, Window(3.0, samples, 30), counted, interrupted)


def shown(*steps: Step) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    for table in render_steps(steps):
        console.print(table)
    return console.export_text()


def test_row_is_flat_and_has_every_figure() -> None:
    figures = row(step(ClosedLoop(4), no_answer=2))
    assert (figures["concurrency"], figures["rate"]) == (4, None)
    assert (figures["frames_per_s"], figures["batches_per_s"]) == (40, 10)
    assert [figures[f"p{percent}_ms"] for percent in (50, 90, 95, 99)] == [100] * 4
    stages = ("client", "queued", "worker", "publish")
    assert sum(float(figures[f"{stage}_ms"] or 0) for stage in stages) == figures["mean_ms"]
    assert [figures[f"{stage}_ms"] for stage in ("decode", "detect", "classify", "wait")] == [
        *(4, 20, 4),
        32,
    ]
    assert (figures["failed"], figures["no_answer"], figures["partial"]) == (2, 2, 0)


def test_row_of_a_step_without_answers_has_nothing_where_nothing_was_measured() -> None:
    figures = row(step(OpenLoop(2.5), None, stable=False))
    assert (figures["concurrency"], figures["rate"]) == (None, 2.5)
    assert figures["frames_per_s"] == 0
    assert figures["p95_ms"] is figures["detect_ms"] is None


def test_csv_has_a_row_a_step_and_reads_back() -> None:
    steps = [step(ClosedLoop(1)), step(ClosedLoop(2), None)]
    file = io.StringIO()
    write_csv(file, steps)
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert [line["concurrency"] for line in rows] == ["1", "2"]
    assert [line["p50_ms"] for line in rows] == ["100.0", ""]
    assert list(rows[0]) == list(row(steps[0]))


def test_tables_fit_a_terminal_of_80_columns_whatever_the_figures_are() -> None:
    text = shown(
        step(ClosedLoop(1)),
        step(ClosedLoop(1024), 12_345.0, stable=False, no_answer=1234, partial=123),
    )
    assert "…" not in text
    assert "12,345" in text
    assert "123 partial" in text


def test_work_on_frames_is_shown_per_frame_and_the_rest_per_batch() -> None:
    _, _, stages = shown(step(ClosedLoop(7))).partition("mean ms in each stage")
    named, _, cells, *_ = [line.split() for line in stages.strip().splitlines()]
    figures = dict(zip(named, cells[1:], strict=True))
    assert (figures["decode"], figures["detect"], figures["classify"]) == ("1.0", "5.0", "1.0")
    assert figures["wait"] == "32.0"
    assert "decode, detect and classify per frame, the others per batch" in stages


def test_tables_say_where_nothing_was_measured() -> None:
    text = shown(step(OpenLoop(100), None, stable=False, interrupted=True))
    assert "by rate" in text
    assert "interrupted" in text
    assert "not stable" not in text


def test_tables_say_where_clocks_differ() -> None:
    ahead = Window(1.0, [sample(queued=60.0)], 1)
    assert "clocks differ" in shown(Step(ClosedLoop(1), 3, True, ahead, Counter()))
