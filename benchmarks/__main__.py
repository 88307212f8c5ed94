"""`python -m benchmarks`, which is what `make bench` runs."""

import os
import time
from pathlib import Path

import click

TABLE_WIDTH = 110
"""Columns that the widest table takes, also where the output is no terminal."""

RESULTS = Path(__file__).parent / "results"


@click.command()
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of pictures to measure on instead of the default set.",
)
@click.option("--quick", is_flag=True, help="A few rounds only: a look, not for the record.")
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the figures are written. By default benchmarks/results, with the page and the "
    "plot; nowhere for --quick and for pictures of one's own.",
)
def main(images: Path | None, quick: bool, results: Path | None) -> None:
    """Measure this worker and the fer library side by side."""
    # Not above: spawned processes import this module too, and each has libraries of its own.
    from rich.console import Console

    from benchmarks import page, plot, suite
    from benchmarks.effort import FULL, QUICK
    from benchmarks.pictures import default_pictures, own_pictures
    from benchmarks.report import save
    from benchmarks.tables import tables_of

    log = Console(stderr=True)
    console = Console(width=max(log.width, TABLE_WIDTH))
    begun = time.perf_counter()
    # Processes start with bytecode, as pip leaves an installation.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    pictures = own_pictures(images) if images else default_pictures()
    report = suite.run(
        pictures,
        images,
        QUICK if quick else FULL,
        say=lambda what: log.print(f"{time.perf_counter() - begun:4.0f} s  {what}", style="dim"),
    )
    console.print(page.heading(report))
    for table in tables_of(report):
        console.print(table.rich())
    is_record = not (quick or images)
    if results or is_record:
        path = save(report, results or RESULTS)
        plot.draw_face_sizes(
            report.face_sizes, report.machine, report.started_at, path.with_suffix(".png")
        )
        log.print(f"written to {path}, and a plot beside it")
    if is_record:
        page.update(report)
        plot.draw(report)


if __name__ == "__main__":
    main()
