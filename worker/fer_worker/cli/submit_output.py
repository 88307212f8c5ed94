"""Where `submit` puts answers: rows into a file, copies with boxes, a table or JSON to stdout."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import click
from rich.console import Console

from fer_schemas import BatchResult
from fer_worker.cli.annotated_video import CODECS, VideoAnnotator
from fer_worker.cli.annotation import Annotator
from fer_worker.cli.tables import render_results
from fer_worker.tools.counted import counted
from fer_worker.tools.face_table import RowWriter, rows_of
from fer_worker.tools.submission.answers import Answer


class Output:
    """Takes answers; a context manager, at whose end all files are complete."""

    def __init__(self, rows: Path | None, copies: Path | None) -> None:
        """Store where to.

        Args:
            rows: file for a row per face; without it results go to stdout, as a table where that is
                a terminal and as a JSON line each elsewhere.
            copies: folder or video for annotated copies.
        """
        self._rows_path = rows
        self._copies_path = copies
        self._rows = 0
        self._copies = 0
        self._tables = 0

    def __enter__(self) -> "Output":
        """Make the files.

        Raises:
            FerWorkerError: one cannot be written.
        """
        with ExitStack() as stack:
            self._writer = None
            if self._rows_path is not None:
                self._writer = stack.enter_context(RowWriter(self._rows_path))
            self._annotator = None
            if self._copies_path is not None:
                kind = VideoAnnotator if is_video(self._copies_path) else Annotator
                self._annotator = stack.enter_context(closing(kind(self._copies_path)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, answer: Answer) -> None:
        """Write an answer.

        Raises:
            FerWorkerError: a file cannot be written to.
        """
        copies = self._annotator.save(answer) if self._annotator is not None else []
        self._copies += sum(copy is not None for copy in copies)
        if self._writer is not None:
            rows = rows_of(answer, copies)
            self._writer.write(rows)
            self._rows += len(rows)
        elif answer.result is not None:
            self._print(answer.result)

    def written(self) -> Iterator[str]:
        """Name the files that there are now."""
        if self._rows_path is not None:
            yield f"{self._rows_path} ({counted(self._rows, 'row')})"
        if self._copies_path is not None and is_video(self._copies_path):
            if self._copies_path.exists():
                yield str(self._copies_path)
        elif self._copies_path is not None:
            yield f"{counted(self._copies, 'picture')} in {self._copies_path}"

    def _print(self, result: BatchResult) -> None:
        if not sys.stdout.isatty():
            click.echo(result.model_dump_json())
            return
        table = render_results([result], aligned=True, header=not self._tables)
        self._tables += 1
        console = Console()
        with console.capture() as text:
            console.print(table)
        click.echo(text.get(), nl=False)  # through what keeps the lines of progress below it


def is_video(copies: Path) -> bool:
    """Whether annotated copies go into one video, and not into a folder."""
    return copies.suffix.lower() in CODECS
