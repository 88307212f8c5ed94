"""`fer-worker bench`: load against a running system."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, cycle
from pathlib import Path

import click
from click.core import ParameterSource
from rich.console import Console
from rich.status import Status

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_client.errors import FerWorkerError, NoAnswerError
from fer_schemas import MAX_MESSAGE_BYTES, BatchResult, FaceSelection, Frame
from fer_schemas import Status as Outcome
from fer_worker.cli.bench_report import Figures
from fer_worker.cli.options import broker_options
from fer_worker.cli.types import SECONDS, Doubling, NumberRange
from fer_worker.tools.interruption import Interruption
from fer_worker.tools.loadtest.generator import Load
from fer_worker.tools.loadtest.measurement import (
    COMPARED,
    ClosedLoop,
    Failure,
    OpenLoop,
    Rules,
    Step,
    Window,
    Workload,
)
from fer_worker.tools.media import (
    FRAME_OVERHEAD_BYTES,
    MediaFrame,
    batches,
    find_media,
    read_frames,
)
from fer_worker.tools.sample_frames import sample_frames

HELD_BYTES = 256 * 1024 * 1024
"""Of frames that are read before and sent in turn. And of batches that are sent and not answered,
where `--rate` does not say how many."""

DEFAULT_CONCURRENCY = (1, 2, 4, 8, 16)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH…]")
@click.option(
    "--concurrency",
    type=Doubling(int, 1, 1024),
    metavar="N|A:B",
    show_default="1:16",
    help="Batches under way: the next is sent when one is answered. A:B is a step each for A, "
    "twice A and so on, up to B.",
)
@click.option(
    "--rate",
    type=Doubling(float, 0.01, 100_000),
    metavar="R|A:B",
    help="Batches sent per second, whatever the answers do, instead.",
)
@click.option("--batch-size", type=click.IntRange(1, 64), default=8, help="Frames in a batch.")
@click.option("--camera", metavar="ID", help="Camera id of all batches.")
@click.option(
    "--faces", type=click.Choice(["first", "all"]), help="Faces to analyse in each frame."
)
@click.option(
    "--duration",
    type=SECONDS,
    metavar="SECONDS",
    help="Measure for so long in all, the steps alike, whether they get stable or not.",
)
@click.option(
    "--window",
    type=SECONDS,
    default=5.0,
    metavar="SECONDS",
    help="How long a window is. It should hold some dozens of batches.",
)
@click.option(
    "--stability",
    type=NumberRange(0, min_open=True),
    default=10.0,
    metavar="PERCENT",
    help="A step ends when throughput and p95 of its last three windows differ from their mean "
    "by no more.",
)
@click.option(
    "--max-windows",
    type=click.IntRange(1),
    default=10,
    metavar="N",
    help="A step ends after so many in any case, and is called not stable.",
)
@click.option(
    "--timeout",
    type=SECONDS,
    default=60.0,
    metavar="SECONDS",
    help="How long a batch may take.",
)
@click.option(
    "--csv",
    "csv_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a row per step into this file, overwriting it.",
)
@click.option(
    "--plot",
    "plot_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a PNG into this file, overwriting it. Needs the extra `plot`.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
@broker_options
def bench(
    broker: BrokerConfig,
    paths: tuple[Path, ...],
    concurrency: tuple[int, ...] | None,
    rate: tuple[float, ...] | None,
    batch_size: int,
    camera: str | None,
    faces: FaceSelection | None,
    duration: float | None,
    window: float,
    stability: float,
    max_windows: int,
    timeout: float,
    csv_path: Path | None,
    plot_path: Path | None,
    as_json: bool,
) -> None:
    """Put load on a running system, and say what it does and where the time goes.

    PATHs are pictures, folders of them, or clips; the sample frames without any. They are sent
    again and again. Each step goes on until it is stable, or for its share of --duration;
    docs/operations.md defines every figure.

    Ctrl-C sends nothing more, waits for what is under way and shows what was measured so far; a
    second one does not wait. Exit code 5 if any batch got no answer in time.
    """
    if concurrency is not None and rate is not None:
        raise click.UsageError("--concurrency and --rate exclude each other")
    if duration is not None and _is_given("window", "max_windows"):
        raise click.UsageError("--duration excludes --window and --max-windows")
    figures = Figures(batch_size, csv_path, plot_path, as_json)
    figures.check()
    if duration is not None:
        count = len(concurrency or rate or DEFAULT_CONCURRENCY)
        window, max_windows = duration / count / COMPARED, COMPARED
    rules = Rules(window, stability / 100, max_windows)
    steps: list[Step] = []
    interruption = Interruption()
    with Console(stderr=True).status("reading frames") as progress:
        frames = _read(paths, progress)
        endless = _in_batches(frames, batch_size)
        progress.update("connecting")
        with FerClient(broker, answer_timeout_s=timeout) as client:
            submit = partial(client.submit, camera_id=camera, faces=faces)
            progress.update("waiting for a first answer")
            analyze = partial(client.analyze, camera_id=camera, faces=faces, timeout_s=timeout)
            answer = _first_answer(partial(analyze, next(endless)), timeout)
            try:
                for pace in _paces(concurrency, rate, frames, batch_size):
                    progress.update(f"{pace.kind} {pace.number:g}")
                    load = Load(pace, submit, endless, rules, partial(_show, progress, pace, rules))
                    interruption = Interruption(partial(_stop, load, progress))
                    with interruption:
                        steps.append(load.run())
                    if interruption or not steps[-1].last.samples:
                        break  # nobody is there any more, or nothing can be analysed
            finally:
                progress.stop()
                if steps:
                    figures.write(steps, answer.engine)
    if interruption:
        sys.exit(interruption.exit_code)
    if any(step.failures[Failure.NO_ANSWER] for step in steps):
        sys.exit(NoAnswerError.exit_code)


def _is_given(*names: str) -> bool:
    """Whether any of these options was typed, or set in the environment."""
    context = click.get_current_context()
    return any(context.get_parameter_source(name) is not ParameterSource.DEFAULT for name in names)


def _read(paths: Sequence[Path], progress: Status) -> list[MediaFrame]:
    """Read frames, as many as are held.

    Raises:
        UsageError: no path, and no sample frames.
        FerWorkerError: a path is missing, or has no frames that could be sent.
    """
    if paths:
        files = find_media(paths)
    elif (samples := sample_frames()).is_dir():
        # Any batch with the broken one in it would count as failed.
        files = [file for file in find_media([samples]) if file.stem != "broken"]
    else:
        raise click.UsageError("no sample frames are installed here: name a PATH")
    frames: list[MediaFrame] = []
    held = 0
    for frame in chain.from_iterable(map(read_frames, files)):
        if len(frame.jpeg) > MAX_MESSAGE_BYTES - FRAME_OVERHEAD_BYTES:
            raise FerWorkerError(f"too large for a message: {frame.id}")
        held += len(frame.jpeg)
        if held > HELD_BYTES:
            progress.console.print(f"The first {len(frames)} frames are sent again and again.")
            break
        frames.append(frame)
    return frames


def _in_batches(frames: Iterable[MediaFrame], size: int) -> Iterator[list[Frame]]:
    """Group frames into batches without end."""
    for batch in batches(cycle(frames), size):
        yield [Frame(jpeg=frame.jpeg, id=frame.id) for frame in batch]


def _first_answer(analyze: Callable[[], BatchResult], timeout_s: float) -> BatchResult:
    """See that somebody answers, and can do something with the frames.

    Raises:
        NoAnswerError: nobody does.
        FerWorkerError: none of them could be analysed.
    """
    try:
        answer = analyze()
    except NoAnswerError:
        raise NoAnswerError(f"no worker answered within {timeout_s:g} s") from None
    if answer.status not in (Outcome.SUCCESS, Outcome.PARTIAL):
        error = answer.errors[0]
        raise FerWorkerError(f"the first batch failed: {error.code}: {error.message}")
    return answer


def _paces(
    concurrency: tuple[int, ...] | None,
    rate: tuple[float, ...] | None,
    frames: Sequence[MediaFrame],
    batch_size: int,
) -> list[Workload]:
    if rate is None:
        return [ClosedLoop(number) for number in concurrency or DEFAULT_CONCURRENCY]
    largest = max(len(frame.jpeg) for frame in frames) * batch_size
    in_flight = min(max(HELD_BYTES // min(largest, MAX_MESSAGE_BYTES), 1), OpenLoop.in_flight)
    return [OpenLoop(number, in_flight) for number in rate]


def _stop(load: Load, progress: Status) -> None:
    load.stop()
    progress.update("stopping: waiting for the answers under way")


def _show(progress: Status, pace: Workload, rules: Rules, number: int, window: Window) -> None:
    tail = window.percentile(95)
    progress.update(
        f"{pace.kind} {pace.number:g}, window {number} of at most {rules.max_windows}: "
        f"{window.frames_per_s:.1f} frames/s, p95 {'-' if tail is None else f'{tail:.1f}'} ms"
    )
