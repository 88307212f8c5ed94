"""How frames/s grow with threads and processes, latency with batch size and frame size."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice
from statistics import median
from typing import Final

from benchmarks.contenders import engine
from benchmarks.effort import Effort
from benchmarks.latency import milliseconds
from benchmarks.machine import cores
from benchmarks.pictures import Picture, jpegs, scaled
from benchmarks.report import Grid
from benchmarks.serving import served
from benchmarks.team import Team
from benchmarks.throughput import race
from fer_client.config import BrokerConfig
from fer_worker.inference.types import EngineOptions

COUNTS: Final = (1, 2)
BATCHES: Final = (1, 2, 4, 8, 16)
HEIGHTS: Final = (360, 480, 720, 1080)


def measure_rates(pictures: Sequence[Picture], effort: Effort) -> Grid:
    """Frames/s by threads and processes, default options, in one grid."""
    plans = {
        (p, t): engine(EngineOptions(), processes=p, threads=t) for p in COUNTS for t in COUNTS
    }
    with ExitStack() as held:
        teams = {str(plan): held.enter_context(Team(made)) for plan, made in plans.items()}
        rounds = race(teams, pictures, effort.rounds, effort.turn_s)
    return Grid(
        title="frames/s by threads and processes, mixed set",
        corner="processes",
        columns=tuple(f"{threads} threads" for threads in COUNTS),
        rows=tuple(map(str, COUNTS)),
        cells=tuple(tuple(median(rounds[str((p, t))]) for t in COUNTS) for p in COUNTS),
    )


def measure_latency(broker: BrokerConfig, pictures: Sequence[Picture], effort: Effort) -> Grid:
    """Milliseconds from publish to reply, median, one batch at a time, by its size."""
    with served(broker, EngineOptions(), threads=cores()) as system:
        by_height = [jpegs(scaled(pictures, height)) for height in HEIGHTS]
        for files in by_height:
            system.client.analyze(files)  # every shape has been met

        def latency(files: Sequence[bytes], size: int) -> float:
            turning = cycle(files)  # each batch has the next pictures of the set
            return median(
                milliseconds(partial(system.client.analyze, list(islice(turning, size))))
                for _ in range(effort.batches // 3)
            )

        cells = tuple(tuple(latency(files, size) for size in BATCHES) for files in by_height)
    return Grid(
        title="ms from publish to reply by frame size and batch size, median",
        corner="frames",
        columns=tuple(f"{size} a batch" for size in BATCHES),
        rows=tuple(f"{height}p" for height in HEIGHTS),
        cells=cells,
    )
