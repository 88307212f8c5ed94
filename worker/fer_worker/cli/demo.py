"""`fer-worker demo`: all of it on one machine."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_client.errors import EngineError, FerWorkerError
from fer_schemas import BatchResult
from fer_worker.admin.supervisor_client import SupervisorClient
from fer_worker.admin.temporary_namespace import temporary_namespace
from fer_worker.cli.annotation import Annotator, check_copies
from fer_worker.cli.options import engine_arguments, engine_options
from fer_worker.cli.tables import render_results
from fer_worker.inference.types import EngineOptions
from fer_worker.platform import is_one_file, system
from fer_worker.tools.counted import counted
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from fer_worker.tools.files import writing
from fer_worker.tools.media import batches, find_pictures, read_frame
from fer_worker.tools.sample_frames import sample_frames
from fer_worker.tools.submission.streaming import stream

START_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 45.0
ASK_AGAIN_S = 0.1


@click.command()
@click.option(
    "--frames",
    type=click.Path(path_type=Path),
    default=sample_frames(),
    show_default="examples/frames",
    help="A folder of pictures to analyse.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    help="Where the annotated pictures go.",
)
@click.option("--processes", type=click.IntRange(1), default=2, help="Worker processes.")
@click.option("--batch-size", type=click.IntRange(1, 64), default=4, help="Frames in a batch.")
@click.option(
    "--amqp-url",
    metavar="URL[,URL…]",
    show_default="a node of its own",
    help="A broker to use. The queues that the demo makes there are deleted at its end.",
)
@engine_options
def demo(
    engine: EngineOptions,
    frames: Path,
    output: Path,
    processes: int,
    batch_size: int,
    amqp_url: str | None,
) -> None:
    """Start a broker and workers, send them pictures, show what they found, stop everything."""
    if click.get_current_context().params["faces"] is None:
        engine = replace(engine, faces="all")  # a group with one box looks like a failure
    pictures = find_pictures([frames])
    check_copies(output, pictures)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    progress = Console(stderr=True)
    annotator = Annotator(output)
    results: list[BatchResult] = []
    with _broker(amqp_url, progress) as config:
        progress.print(f"Starting {counted(processes, 'worker process', 'worker processes')} ...")
        with _workers(config, engine, processes, output / "worker.log") as workers:
            _wait_until_ready(config, processes, workers, output / "worker.log")
            progress.print(
                f"Sending {counted(len(pictures), 'frame')} in batches of {batch_size} ..."
            )
            with FerClient(config) as client:
                named = (replace(read_frame(path), id=path.name) for path in pictures)
                grouped = batches(named, batch_size)
                for answer in stream(client, grouped, timeout_s=ANSWER_TIMEOUT_S):
                    if answer.result is None:
                        raise answer.error or FerWorkerError("no answer")
                    results.append(answer.result)
                    annotator.save(answer)
    Console().print(render_results(results))
    click.echo(f"{counted(sum(map(_faces, results)), 'face')}; annotated pictures in {output}/")


def _faces(result: BatchResult) -> int:
    return sum(len(frame.faces) for frame in result.frames)


@contextmanager
def _broker(url: str | None, progress: Console) -> Iterator[BrokerConfig]:
    """Give a node of our own, or queues of our own on the broker that is named."""
    if url is None:
        progress.print("Starting RabbitMQ on a free port ...")
        with EmbeddedBroker() as node:
            yield BrokerConfig((node.url,))
    else:
        with temporary_namespace(url, "fer-demo") as config:
            yield config


@contextmanager
def _workers(
    config: BrokerConfig, engine: EngineOptions, processes: int, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `fer-worker run` in a group of processes that ends with this one, whatever happens."""
    ourselves = [] if is_one_file() else ["-m", "fer_worker"]
    command = [sys.executable, *ourselves, "run", f"--processes={processes}"]
    elsewhere = ("FER_WORKER_AMQP_", "FER_WORKER_TLS_")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(elsewhere)
    }
    environment |= {
        "FER_WORKER_AMQP_URL": ",".join(config.urls),
        "FER_WORKER_NAMESPACE": config.namespace,
    }
    group = system.ProcessGroup()
    try:
        with writing(log), log.open("wb") as output:
            supervisor = group.spawn(command + engine_arguments(engine), environment, output)
        yield supervisor
        group.terminate(supervisor)
        supervisor.wait(STOP_TIMEOUT_S)
    finally:
        group.kill()


def _wait_until_ready(
    config: BrokerConfig, processes: int, supervisor: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with SupervisorClient(config) as operator:
        while time.monotonic() < deadline:
            status = next(operator.each_status(), None)
            states = [process.state for process in status.processes] if status else []
            if states.count("ready") == processes:
                return
            if supervisor.poll() is not None:
                raise EngineError(f"the workers did not start; {log} says why")
            time.sleep(ASK_AGAIN_S)
    raise FerWorkerError(f"the workers were not ready within {START_TIMEOUT_S:.0f} s; see {log}")
