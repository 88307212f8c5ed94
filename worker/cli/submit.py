"""`fer-worker submit`: a controller for the shell."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from schemas import FaceSelection
from worker.cli.annotation import Annotator
from worker.cli.options import broker_options
from worker.cli.streaming import stream
from worker.client import FerClient
from worker.config import BrokerConfig
from worker.errors import FerWorkerError, NoAnswerError
from worker.media import batches, find_pictures, read_frame


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")
@click.option("--batch-size", type=click.IntRange(1, 64), default=8, help="Frames in a batch.")
@click.option("--camera", metavar="ID", help="Camera id, echoed in the results.")
@click.option(
    "--faces", type=click.Choice(["first", "all"]), help="Faces to analyse in each frame."
)
@click.option(
    "--annotate",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write each frame there with what was found in it.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    metavar="SECONDS",
    help="How long a batch may take.",
)
@broker_options
def submit(
    broker: BrokerConfig,
    paths: tuple[Path, ...],
    batch_size: int,
    camera: str | None,
    faces: FaceSelection | None,
    annotate: Path | None,
    timeout: float,
) -> None:
    """Send pictures and folders of pictures, and print one JSON line a batch.

    Exit code 5 if any batch got no answer in time, 1 if any was refused.
    """
    pictures = find_pictures(paths)
    console = Console(stderr=True)
    annotator = Annotator(annotate) if annotate is not None else None
    failures: list[FerWorkerError] = []
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with FerClient(broker) as client, progress:
        task = progress.add_task("analysed", total=len(pictures))
        answers = stream(
            client,
            batches(map(read_frame, pictures), batch_size),
            timeout_s=timeout,
            camera_id=camera,
            faces=faces,
        )
        for answer in answers:
            progress.advance(task, len(answer.frames))
            if answer.error is not None:
                failures.append(answer.error)
                names = ", ".join(frame.id for frame in answer.frames)
                click.echo(f"fer-worker: {answer.error}: {names}", err=True)
            elif answer.result is not None:
                click.echo(answer.result.model_dump_json())
                if annotator is not None:
                    annotator.save(answer)
    if failures:
        late = any(isinstance(failure, NoAnswerError) for failure in failures)
        sys.exit(NoAnswerError.exit_code if late else FerWorkerError.exit_code)
