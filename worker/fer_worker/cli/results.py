"""`fer-worker results`: results that have no reader; look at them, or take them out."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import click
from rich import box
from rich.table import Table

from fer_client.config import BrokerConfig
from fer_worker.admin.undelivered_results import UndeliveredResult, UndeliveredResults
from fer_worker.cli.listing import list_options, print_list
from fer_worker.cli.options import broker_options
from fer_worker.cli.tables import NOTHING, moment, plain
from fer_worker.tools.files import writing


@click.group()
def results() -> None:
    """Look at the results that found no reader, or take them out."""


@results.command("list")
@list_options
@broker_options
def list_(broker: BrokerConfig, limit: int, as_json: bool) -> None:
    """Say which results found no reader, the oldest first. Nothing is removed."""
    with UndeliveredResults(broker) as unread:
        shown, total = unread.oldest(limit)
    print_list(shown, total, None if as_json else _table, "results without a reader")


@results.command()
@click.option("--limit", type=click.IntRange(1), help="Take the oldest N at most.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    show_default="stdout",
    help="Append to this file.",
)
@broker_options
def take(broker: BrokerConfig, limit: int | None, output: Path | None) -> None:
    """Take results out of their queue and write a JSON line each, the oldest first.

    A line is the result as it was published, and in x-reply-to the queue that it could not reach.
    A result leaves its queue only after its line is written and flushed.
    """
    with UndeliveredResults(broker) as unread, _opened(output) as stream:

        def write(lines: list[str]) -> None:
            stream.write("".join(f"{line}\n" for line in lines).encode())
            stream.flush()

        taken = unread.drain(write, limit)
    click.echo(f"{taken} taken", err=True)


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        yield sys.stdout.buffer
        return
    with writing(path), path.open("ab+") as stream:
        # A disk that was full may have cut off the last line; that result is still queued.
        if stream.tell() and not _ends_with_newline(stream):
            stream.write(b"\n")
        yield stream


def _ends_with_newline(stream: BinaryIO) -> bool:
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) == b"\n"


def _table(unread: Sequence[UndeliveredResult]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("published", no_wrap=True)
    for name in ("correlation id", "camera", "status", "x-reply-to"):
        table.add_column(name)
    for result in unread:
        values = (result.correlation_id, result.camera_id, result.status, result.x_reply_to)
        table.add_row(
            moment(result.published_at),
            *(NOTHING if value is None else plain(value) for value in values),
        )
    return table
