"""From nothing to the first answer: `fer-worker run`, and the fer library in a fresh Python."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.contenders import both_options
from benchmarks.effort import Effort
from benchmarks.machine import cores
from benchmarks.pictures import Picture
from benchmarks.report import Cell, Row, Target
from benchmarks.rounds import Rounds, take_turns
from benchmarks.serving import started
from benchmarks.throughput import FER
from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_worker.inference.types import EngineOptions


def measure(
    broker: BrokerConfig, pictures: Sequence[Picture], effort: Effort
) -> tuple[Row, Rounds]:
    """Start each of them several times. Their files are in the page cache by now."""
    jpeg = pictures[0].jpeg
    options = both_options("first")
    rounds = take_turns(
        {
            FER: lambda: _start_fer(jpeg),
            "compat": lambda: _start_worker(broker, options["compat"], jpeg),
            "default": lambda: _start_worker(broker, options["default"], jpeg),
        },
        effort.starts,
    )
    row = Row(
        name="start to first answer",
        unit="s",
        reference=median(rounds[FER]),
        compat=Cell(value=median(rounds["compat"])),
        default=Cell(value=median(rounds["default"])),
        target=Target(of="value", kind="under", bound=0.5),
    )
    return row, rounds


def _start_worker(broker: BrokerConfig, options: EngineOptions, jpeg: bytes) -> float:
    """Seconds from the command to the result of a batch that waits in the queue already.

    More than the target asks for: the batch is not only taken, but analysed and answered.
    """
    with FerClient(broker) as client:
        future = client.submit([jpeg])
        begun = time.perf_counter()
        with started(broker, options, threads=cores()):
            future.result(timeout=60)
            return time.perf_counter() - begun


def _start_fer(jpeg: bytes) -> float:
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        Path(file.name).write_bytes(jpeg)
        command = [sys.executable, "-m", "benchmarks.fer_library", file.name]
        begun = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            answer = process.stdout.readline()
            seconds = time.perf_counter() - begun
    assert answer, "fer did not answer"
    return seconds
