"""`fer-worker submit`: a controller for the shell."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import click

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_client.errors import BrokerError, FerWorkerError
from fer_schemas import MAX_NAME_LENGTH, FaceSelection
from fer_worker.cli.annotated_video import CODECS, VideoAnnotator
from fer_worker.cli.annotation import Annotator, check_copies
from fer_worker.cli.options import broker_options
from fer_worker.cli.progress import RunStats, shown
from fer_worker.cli.types import SECONDS, NumberRange
from fer_worker.tools.face_table import ROW_SUFFIXES, RowWriter, rows_of
from fer_worker.tools.interruption import Interruption
from fer_worker.tools.media import (
    CLIP_SUFFIXES,
    Camera,
    MediaFrame,
    batches,
    expected_frames,
    find_media,
    is_address,
    matching,
    read_frames,
    sendable,
)
from fer_worker.tools.submission.answers import Answer
from fer_worker.tools.submission.streaming import WINDOW, stream

LIVE_WINDOW = 2
"""Batches of a camera in flight, one analysed and one waiting: what is found should be of now."""

LIVE_HOLD_S = 1.0
"""How long a frame of a camera waits for others to fill its batch."""

MAX_RATE = 1000
"""Frames per second that may be asked for; no clip or camera has more."""


def _check_camera(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    if name is not None and len(name) > MAX_NAME_LENGTH:
        raise click.BadParameter(f"more than {MAX_NAME_LENGTH} characters")
    return None if name is None else sendable(name)


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
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--batch-size", type=click.IntRange(1, 64), default=8, help="Frames in a batch.")
@click.option(
    "--fps",
    type=NumberRange(0, MAX_RATE, min_open=True),
    metavar="N",
    help="Frames to send for each second of a clip, or a second from a camera at most.  "
    "[default: all]",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="End after so many frames.")
@click.option(
    "--camera", metavar="ID", callback=_check_camera, help="Camera id, echoed in the results."
)
@click.option(
    "--faces", type=click.Choice(["first", "all"]), help="Faces to analyse in each frame."
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    callback=_check_output,
    help="Write a row per face there, .jsonl or .csv, instead of JSON lines to stdout.",
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
    fps: float | None,
    limit: int | None,
    camera: str | None,
    faces: FaceSelection | None,
    output: Path | None,
    annotate: Path | None,
    overwrite: bool,
    timeout: float,
) -> None:
    """Send pictures, clips or a camera, and print one JSON line per batch.

    SOURCEs are pictures, clips, folders of both and patterns ('*.mp4'); or one camera:
    rtsp://HOST/PATH, http://HOST/PATH, or camera:0 of this machine. docs/video.md has the details.

    Clips are read as fast as the workers answer. A camera is not waited for: frames that come
    while the workers are busy are dropped, and the newest is sent.

    Ctrl-C sends nothing more and waits 5 s for what is under way; a second one does not wait. A
    line on stderr sums up what was sent and answered.

    Exit code 5 if any batch got no answer in time; 1 if any was refused, or a source could not be
    read to its end; 3 if the broker refuses us; 130 after Ctrl-C.
    """
    for path in (output, annotate):
        if path is not None and path.is_file() and not overwrite:
            raise FerWorkerError(f"{path} exists already; --overwrite replaces it")
    interruption, tally = Interruption(), RunStats()
    failures: set[int] = set()  # exit codes; the errors themselves would hold on to pictures
    try:
        with ExitStack() as stack:
            source = _open(sources, fps, limit, batch_size, failures, stack)
            if annotate is not None:
                check_copies(annotate, source.files)
            client = stack.enter_context(FerClient(broker, answer_timeout_s=timeout + 1))
            rows = annotator = None
            if output is not None:
                rows = stack.enter_context(RowWriter(output))
            if annotate is not None:
                is_video = annotate.suffix.lower() in CODECS
                kind = VideoAnnotator if is_video else Annotator
                annotator = stack.enter_context(closing(kind(annotate)))
            stack.enter_context(interruption)
            advance = stack.enter_context(shown(tally, source.total, interruption))
            answers = stream(
                client,
                tally.sending(source.batches),
                timeout_s=timeout,
                window=source.window,
                camera_id=camera,
                faces=faces,
                interruption=interruption,
            )
            for answer in answers:
                tally.take(answer)
                advance()
                copies = annotator.save(answer) if annotator is not None else []
                if rows is not None:
                    rows.write(rows_of(answer, copies))
                elif answer.result is not None:
                    click.echo(answer.result.model_dump_json())
                if (failure := answer.failure) is not None and not interruption:
                    if isinstance(failure, BrokerError):  # as would be all batches that follow
                        raise failure
                    failures.add(failure.exit_code)
                    click.echo(f"fer-worker: {failure}: {_names(answer)}", err=True)
    finally:
        if tally.sent:
            click.echo(tally.summary(), err=True)
    if interruption:
        sys.exit(interruption.exit_code)
    if failures:
        sys.exit(max(failures))  # 5, no answer in time, before 1


@dataclass(frozen=True)
class _Source:
    """Batches to send."""

    batches: Iterable[list[MediaFrame]]
    total: int | None
    """Frames in them; None where nobody knows."""
    window: int
    """How many may be in flight."""
    files: Iterable[Path] = ()
    """Where its frames come from; none for a camera."""


def _open(
    sources: tuple[str, ...],
    fps: float | None,
    limit: int | None,
    batch_size: int,
    failures: set[int],
    stack: ExitStack,
) -> _Source:
    """Find files or open a camera, so that what is not there is known before anything is sent.

    What cannot be read any further later on is said, and added to the failures.
    """
    if any(map(is_address, sources)):
        if len(sources) > 1:
            raise click.UsageError("a camera is the only source of its run")
        camera = stack.enter_context(Camera(sources[0], fps))
        frames = _first(_to_its_end(camera.frames(), failures), limit)
        return _Source(batches(frames, batch_size, hold_s=LIVE_HOLD_S), limit, LIVE_WINDOW)
    files = find_media(chain.from_iterable(map(matching, sources)))
    frames = chain.from_iterable(_to_its_end(read_frames(file, fps), failures) for file in files)
    total = None
    if sys.stderr.isatty():  # for the bar; clips have to be opened for it
        total = sum(expected_frames(file, fps) for file in files)
        total = min(total, limit or total)
    return _Source(batches(_first(frames, limit), batch_size), total, WINDOW, files)


def _to_its_end(
    frames: Iterable[MediaFrame | None], failures: set[int]
) -> Iterator[MediaFrame | None]:
    """Give frames for as long as they can be read, and say why if there are no more."""
    try:
        yield from frames
    except FerWorkerError as error:
        failures.add(error.exit_code)
        click.echo(f"fer-worker: {error}", err=True)


def _first(frames: Iterable[MediaFrame | None], limit: int | None) -> Iterator[MediaFrame | None]:
    """Give so many frames, and no moment without one counts."""
    left = limit
    for frame in frames:
        yield frame
        if left is not None and frame is not None:
            left -= 1
            if left == 0:
                return


def _names(answer: Answer) -> str:
    return ", ".join(frame.id for frame in answer.frames)
