"""`fer-worker report`: results as one HTML page."""

from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import click
from rich.console import Console

from fer_client.errors import FerWorkerError
from fer_worker.cli.extras import check_extra
from fer_worker.tools.counted import counted
from fer_worker.tools.face_table import read_rows
from fer_worker.tools.files import check_writable, writing


@click.command()
@click.argument(
    "results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULTS…"
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default="report.html",
    help="The page; one that is there is overwritten.",
)
@click.option("--title", default="Facial emotions", help="Of the page.")
@click.option(
    "--thumbnails",
    type=click.IntRange(0, 500),
    default=36,
    metavar="N",
    help="At most so many pictures of frames, about 16 kB each; 0 for a page without faces.",
)
def report(results: tuple[Path, ...], output: Path, title: str, thumbnails: int) -> None:
    """Make one HTML page of what `submit --output` wrote.

    RESULTS are .jsonl or .csv files. The page needs neither a network nor a script: emotions over
    time for each camera or clip, the most relevant frames, counts, latencies.

    The pictures are cut from annotated copies, or from the sources, where they still are.
    """
    _check(results, output)
    from fer_worker.tools.html_report.page import (
        render_page,  # not at the top: Jinja comes with an extra
    )
    from fer_worker.tools.html_report.summary import Summary
    from fer_worker.tools.html_report.thumbnails import choose, read_thumbnails

    with Console(stderr=True).status("reading rows") as progress:
        summary = Summary()
        summary.add(chain.from_iterable(map(read_rows, results)))
        if not summary.batches:
            raise FerWorkerError(f"no results in {', '.join(map(str, results))}")
        progress.update("reading pictures")
        folder = results[0].parent
        chosen = choose(list(summary.series.values()), thumbnails)
        pictures = [read_thumbnails(frames, folder) for frames in chosen]
        progress.update("writing the page")
        page = render_page(summary, pictures, title, list(map(str, results)), datetime.now(UTC))
    with writing(output):
        size = output.write_bytes(page.encode("utf-8", "replace"))  # file names may be no UTF-8
    shown = sum(picture.jpeg is not None for group in pictures for picture in group)
    batches, pictured = counted(summary.batches, "batch", "batches"), counted(shown, "picture")
    click.echo(f"{output}: {batches}, {pictured}, {size:,} bytes")


def _check(results: tuple[Path, ...], output: Path) -> None:
    """Find out what cannot work before anything is read.

    Raises:
        FerWorkerError: the page cannot be written, or Jinja is missing.
        UsageError: the page would replace results.
    """
    check_extra("report", "jinja2", "report")
    check_writable(output)
    for path in results:
        with suppress(OSError):  # what is not there is not the same
            if path.samefile(output):
                raise click.UsageError(f"--output would replace {output}")
