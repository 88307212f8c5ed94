"""`fer-worker submit`: a controller for the shell."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import click

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_client.errors import BrokerError, FerWorkerError
from fer_schemas import FaceSelection
from fer_worker.cli.annotated_video import CODECS
from fer_worker.cli.annotation import check_copies
from fer_worker.cli.options import broker_options
from fer_worker.cli.progress import shown
from fer_worker.cli.submit_output import Output, is_video
from fer_worker.cli.submit_sources import (
    Cameras,
    Reading,
    Source,
    check_cameras,
    check_rates,
    open_sources,
)
from fer_worker.cli.types import SECONDS
from fer_worker.tools.face_table import ROW_SUFFIXES
from fer_worker.tools.interruption import Interruption
from fer_worker.tools.media import CLIP_SUFFIXES
from fer_worker.tools.submission.answers import Answer
from fer_worker.tools.submission.side_by_side import side_by_side
from fer_worker.tools.submission.streaming import stream


def _check_output(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in ROW_SUFFIXES:
        raise click.BadParameter(f"{path} is neither .jsonl nor .csv")
    return path


def _check_annotate(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is None or path.suffix.lower() in CODECS:
        return path
    if path.suffix.lower() in CLIP_SUFFIXES or path.is_file():
        raise click.BadParameter(f"{path} is neither .mp4 nor .webm, nor a folder")
    return path


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE…]")
@click.option("--batch-size", type=click.IntRange(1, 64), default=8, help="Frames in a batch.")
@click.option(
    "--fps",
    multiple=True,
    metavar="N|ID=N",
    callback=check_rates,
    help="Frames to send for each second of a clip, or a second from a camera at most; of the "
    "camera ID alone. May be repeated.  [default: all]",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="End after so many frames; of each camera, if there are several.",
)
@click.option(
    "--camera",
    "cameras",
    multiple=True,
    metavar="ID|ID=ADDRESS",
    callback=check_cameras,
    help="Camera id, echoed in the results; or a camera with its id. May be repeated.",
)
@click.option(
    "--faces",
    type=click.Choice(["first", "all"]),
    show_default="all with --output or --annotate, else as the workers were started",
    help="Faces to analyse in each frame: the largest, or all.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    callback=_check_output,
    help="Write a row per face there, .jsonl or .csv, instead of results to stdout.",
)
@click.option(
    "--annotate",
    type=click.Path(path_type=Path),
    metavar="DIR|VIDEO",
    callback=_check_annotate,
    help="Draw what was found: each frame into a folder, or all into one video, .mp4 or .webm.",
)
@click.option("--overwrite", is_flag=True, help="Replace the files of --output and --annotate.")
@click.option(
    "--timeout",
    type=SECONDS,
    default=60.0,
    metavar="SECONDS",
    help="How long a batch may take.",
)
@broker_options
def submit(
    broker: BrokerConfig,
    sources: tuple[str, ...],
    batch_size: int,
    fps: Mapping[str | None, float],
    limit: int | None,
    cameras: Cameras,
    faces: FaceSelection | None,
    output: Path | None,
    annotate: Path | None,
    overwrite: bool,
    timeout: float,
) -> None:
    """Send pictures, clips or cameras, and show what was found.

    SOURCEs are pictures, clips, folders of both and patterns ('*.mp4'); or cameras:
    rtsp://HOST/PATH, http://HOST/PATH, or camera:0 of this machine. docs/video.md has the details.

    Results go to stdout: a table on a terminal, else one JSON line per batch.

    Clips are read as fast as the workers answer. A camera is not waited for: frames that come
    while the workers are busy are dropped, and the newest is sent. A camera that is lost is opened
    again, after pauses.

    Ctrl-C sends nothing more and waits 5 s for what is under way; a second one does not wait. What
    was sent and answered, what failed, and which files were written is said on stderr.

    Exit code 5 if any batch got no answer in time; 1 if any was refused, or a source could not be
    read to its end; 3 if the broker refuses us; 130 after Ctrl-C.
    """
    for path in (output, annotate):
        if path is not None and path.is_file() and not overwrite:
            raise FerWorkerError(f"{path} exists already; --overwrite replaces it")
    if faces is None and (output or annotate):
        faces = "all"
    interruption, target = Interruption(), Output(output, annotate)
    reading = Reading(fps, limit, batch_size)
    failures = reading.failures  # exit codes; the errors themselves would hold on to pictures
    skipped: list[Path] = []
    opened: list[Source] = []
    try:
        with ExitStack() as stack:
            opened += open_sources(sources, cameras, reading, skipped, stack)
            if annotate is not None:
                if is_video(annotate) and len(opened) > 1:
                    raise click.UsageError(
                        "one video has one camera: --annotate FOLDER has several"
                    )
                check_copies(annotate, opened[0].files)
            client = stack.enter_context(FerClient(broker, answer_timeout_s=timeout + 1))
            stack.enter_context(target)
            stack.enter_context(interruption)
            advance = stack.enter_context(shown([source.stats for source in opened], interruption))

            def answers_of(source: Source) -> Iterator[tuple[Source, Answer]]:
                for answer in stream(
                    client,
                    source.stats.sending(source.batches),
                    timeout_s=timeout,
                    window=source.window,
                    camera_id=source.camera_id,
                    faces=faces,
                    interruption=interruption,
                ):
                    yield source, answer

            for source, answer in side_by_side(list(map(answers_of, opened))):
                source.stats.take(answer)
                advance(source.stats)
                target.take(answer)
                if (failure := answer.failure) is not None and not interruption:
                    if isinstance(failure, BrokerError):  # as would be all batches that follow
                        raise failure
                    failures.add(failure.exit_code)
                    names = ", ".join(frame.id for frame in answer.frames)
                    click.echo(f"fer-worker: {failure}: {names}", err=True)
    finally:
        for line in _summary(opened, target, skipped):
            click.echo(line, err=True)
    if interruption:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(interruption.exit_code)  # the interpreter would wait for FFmpeg to open a camera
    if failures:
        sys.exit(max(failures))  # 5, no answer in time, before 1


def _summary(sources: list[Source], target: Output, skipped: list[Path]) -> Iterator[str]:
    """Say what was sent, what failed, what was left out and which files were written."""
    sent = [source.stats for source in sources if source.stats.sent]
    for stats in sent:
        yield (f"{stats.name}: " if len(sources) > 1 else "") + stats.summary()
        yield from stats.failures()
    if skipped:
        yield f"skipped, of a kind that is not read: {', '.join(map(str, skipped))}"
    if sent and (written := ", ".join(target.written())):
        yield f"written: {written}"
