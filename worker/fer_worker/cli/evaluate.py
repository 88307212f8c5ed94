"""`fer-worker evaluate`: how right the answers are, on labelled pictures."""

import dataclasses
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fer_client.config import BrokerConfig
from fer_client.errors import FerWorkerError
from fer_schemas import Emotion
from fer_worker.cli.extras import check_extra
from fer_worker.cli.options import (
    ENGINE_PARAMETERS,
    EngineArguments,
    broker_options,
    engine_options,
)
from fer_worker.cli.types import SECONDS, EmotionNames
from fer_worker.inference.types import EngineOptions
from fer_worker.supervision.cpu_plan import available_cores
from fer_worker.tools.evaluation.datasets import find_dataset
from fer_worker.tools.evaluation.recognition import (
    InProcess,
    Outcome,
    Recogniser,
    ThroughQueue,
)
from fer_worker.tools.evaluation.samples import LabelledPicture, shuffled
from fer_worker.tools.files import check_writable, writing
from fer_worker.tools.interruption import Interruption, interrupt

if TYPE_CHECKING:
    from fer_worker.cli.evaluation_report import Report

STDOUT = Path("-")


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--split",
    metavar="NAME",
    show_default="test, where there are splits",
    help="Pictures of one split, such as train or PublicTest; `all` for every one.",
)
@click.option(
    "--emotions",
    type=EmotionNames(),
    metavar="NAME[,NAME…]",
    show_default="all seven",
    help="Only pictures with these labels.",
)
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    help="Only so many pictures, chosen at random, the same ones every time.",
)
@click.option(
    "--min-side",
    type=click.IntRange(0),
    default=192,
    metavar="PIXELS",
    help="Enlarge pictures whose shorter side has fewer; 0 for never.",
)
@click.option(
    "--compare",
    type=EngineArguments(),
    metavar="OPTIONS",
    help="Try other engine options too, on the same pictures: --compare '--compat fer'.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    show_default="one per core",
    help="Pictures analysed at once.",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Write all figures, and what was found in each picture, into this file, overwriting it; "
    "`-` writes them to stdout instead of tables.",
)
@click.option(
    "--plot",
    "plot_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the confusion matrix into this PNG, overwriting it. Needs the extra `plot`.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 64),
    default=8,
    help="Pictures in a batch, with --amqp-url.",
)
@click.option(
    "--timeout",
    type=SECONDS,
    default=60.0,
    metavar="SECONDS",
    help="How long a batch may take, with --amqp-url.",
)
@engine_options
@broker_options
def evaluate(
    broker: BrokerConfig,
    engine: EngineOptions,
    path: Path,
    split: str | None,
    emotions: tuple[Emotion, ...] | None,
    sample: int | None,
    min_side: int,
    compare: EngineOptions | None,
    threads: int | None,
    json_path: Path | None,
    plot_path: Path | None,
    batch_size: int,
    timeout: float,
) -> None:
    """Say how right the answers are, on pictures that people have labelled.

    DIR has a folder per emotion, or train/ and test/ with such folders, or is FER2013 or RAF-DB in
    one of their own layouts. docs/evaluation.md names them, and defines every figure. Needs the
    extra `evaluate`.

    Pictures are analysed in this process, with the engine options given. With --amqp-url they are
    sent to workers, who have options of their own.

    Ctrl-C, and a batch that is lost, end it with the figures so far. Exit code 5 if a batch got no
    answer in time, 1 if one was refused.
    """
    recogniser: Recogniser
    if _are_given("amqp_url", "amqp_url_file"):
        if _are_given("compare", "threads", *ENGINE_PARAMETERS):
            raise click.UsageError(
                "workers have engine options and threads of their own: give either these, or "
                "--amqp-url (or FER_WORKER_AMQP_URL)"
            )
        recogniser = ThroughQueue(broker, batch_size, timeout)
    elif _are_given("batch_size", "timeout"):
        raise click.UsageError("--batch-size and --timeout are for batches sent with --amqp-url")
    else:
        engines = [engine] if compare is None else [engine, compare]
        largest = [dataclasses.replace(options, faces="first") for options in engines]
        recogniser = InProcess(largest, threads or available_cores())
    check_extra("evaluate", "sklearn", "evaluate")
    from fer_worker.cli.evaluation_report import Report, Trial  # not at the top: needs the extra

    if plot_path is not None:
        check_extra("--plot", "matplotlib", "plot")
    check_writable(None if json_path == STDOUT else json_path, plot_path)
    dataset = find_dataset(path, split, emotions)
    pictures = shuffled(dataset.pictures)[:sample]

    outcomes: list[tuple[Outcome, ...]] = []
    ended: FerWorkerError | None = None
    interruption = Interruption(interrupt)
    try:
        with interruption:
            _recognise(recogniser, pictures, min_side, outcomes)
    except FerWorkerError as error:
        ended = error
    except KeyboardInterrupt:
        click.echo("fer-worker: interrupted", err=True)
    if any(outcome.error is None for of_all in outcomes for outcome in of_all):
        titles = ("engine",) if compare is None else ("A", "B")
        by_engine = zip(*outcomes, strict=True)
        trials = list(map(Trial, titles, recogniser.engines, by_engine))
        asked = {"split": split, "emotions": emotions, "sample": sample, "min_side": min_side}
        report = Report(dataset, recogniser.where, asked, len(pictures), trials)
        _write(report, json_path, plot_path)
    elif outcomes and ended is None:
        first = outcomes[0][0]
        ended = FerWorkerError(f"no picture could be analysed: {first.picture}: {first.error}")
    if interruption:
        sys.exit(interruption.exit_code)
    if ended is not None:
        raise ended


def _are_given(*names: str) -> bool:
    """Whether any of these options is given, as an argument or in the environment."""
    context = click.get_current_context()
    return any(
        context.get_parameter_source(name)
        in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
        for name in names
    )


def _recognise(
    recogniser: Recogniser,
    pictures: list[LabelledPicture],
    min_side: int,
    outcomes: list[tuple[Outcome, ...]],
) -> None:
    """Show how far it is, and append each outcome as it comes: whatever ends it, they are kept."""
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("pictures"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with progress, closing(recogniser.recognise(pictures, min_side)) as answers:
        task = progress.add_task("analysed", total=len(pictures))
        for answer in answers:
            outcomes.append(answer)
            progress.advance(task)


def _write(report: "Report", json_path: Path | None, plot_path: Path | None) -> None:
    """Print the figures, and write the files."""
    from fer_worker.cli.evaluation_report import document, render

    text = json.dumps(document(report)) + "\n" if json_path is not None else ""
    if json_path == STDOUT:
        click.echo(text, nl=False)
    else:
        console = Console()
        for part in render(report):
            console.print(part)
    if json_path not in (None, STDOUT):
        with writing(json_path):
            json_path.write_text(text, encoding="utf-8")
    if plot_path is not None:
        # Not at the top: matplotlib comes with an extra.
        from fer_worker.tools.evaluation.confusion_plot import draw

        with writing(plot_path):
            draw({trial.description: trial.evaluation for trial in report.trials}, plot_path)
