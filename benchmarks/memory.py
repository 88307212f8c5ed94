"""Memory of processes at work: on 1080p frames, and while frames of many sizes go by."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

from benchmarks.contenders import Contender, both_options, engine, fer
from benchmarks.effort import Effort
from benchmarks.machine import Memory, cores, memory_of
from benchmarks.pictures import Picture, jpegs, of_many_sizes, scaled
from benchmarks.report import Cell, Row, Target
from benchmarks.serving import served
from benchmarks.team import Team
from benchmarks.throughput import FER, FER_PROCESSES
from fer_client.config import BrokerConfig
from fer_worker.inference.types import EngineOptions
from fer_worker.supervision.cpu_plan import Plan, plan

THREADS: Final = 2
BATCH: Final = 4

SIZES: Final = range(240, 740, 10)
"""Heights in pixels of the fifty sizes that a growing process would keep something for."""


@dataclass(frozen=True)
class Resident:
    """What was measured at 1080p."""

    rows: tuple[Row, ...]
    memory: dict[str, Memory]
    """By contender, named as in `throughput`."""


def measure_resident(broker: BrokerConfig, pictures: Sequence[Picture], effort: Effort) -> Resident:
    """Measure fer's processes and those of `fer-worker run`: what it starts, and a single one.

    One after the other, so that nothing is shared with another contender.
    """
    files = list(islice(cycle(jpegs(scaled(pictures, 1080))), effort.memory_frames))
    memory = {
        FER: _of_team(fer(processes=1, threads=THREADS), files),
        FER_PROCESSES: _of_team(fer(processes=cores(), threads=1), files),
    }
    for faces in ("first", "all"):
        for column, options in both_options(faces).items():
            memory[f"{faces}, {column}"] = _of_workers(broker, options, files, plan(cores()))
    single = {
        column: _of_workers(broker, options, files, Plan(cores(), processes=1, threads=THREADS))
        for column, options in both_options("first").items()
    }
    row = Row(
        name=f"memory of a process, {THREADS} threads, 1080p",
        unit="MB",
        reference=memory[FER].rss,
        compat=Cell(value=single["compat"].rss),
        default=Cell(value=single["default"].rss),
        target=Target(of="value", kind="under", bound=160),
    )
    return Resident((row,), memory)


def measure_growth(pictures: Sequence[Picture], effort: Effort) -> tuple[Row, list[float]]:
    """Let frames of fifty sizes go by: the networks see other shapes of input with each.

    Returns:
        The row, and the resident memory in MB after each tenth of the frames.
    """
    sizes = jpegs(of_many_sizes(pictures, SIZES))
    tenth = list(islice(cycle(sizes), effort.growth_frames // 10))
    resident = []
    with Team(engine(EngineOptions(), processes=1, threads=THREADS)) as team:
        for _ in range(10):
            team.lap(tenth)
            resident.append(memory_of(team.pids).rss)
    growth = (resident[-1] / resident[0] - 1) * 100
    row = Row(
        name=f"memory growth, {effort.growth_frames:,} frames of {len(SIZES)} sizes",
        unit="%",
        default=Cell(value=growth),
        target=Target(of="value", kind="under", bound=5),
    )
    return row, resident


def _of_team(contender: Contender, files: Sequence[bytes]) -> Memory:
    with Team(contender) as team:
        team.lap(files)
        return memory_of(team.pids)


def _of_workers(
    broker: BrokerConfig, options: EngineOptions, files: Sequence[bytes], shared_out: Plan
) -> Memory:
    with served(broker, options, shared_out.threads, shared_out.processes) as system:
        futures = [
            system.client.submit(files[start : start + BATCH])
            for start in range(0, len(files), BATCH)
        ]
        for future in futures:
            future.result()
        return memory_of(system.workers.ready_pids())
