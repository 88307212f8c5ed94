"""Publish to reply, one batch at a time, against the time of its frames alone."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice
from statistics import median
from typing import Final

from benchmarks.contenders import both_options, engine
from benchmarks.effort import Effort
from benchmarks.machine import cores
from benchmarks.pictures import Picture, jpegs, scaled
from benchmarks.report import Cell, Row, Target
from benchmarks.rounds import Rounds, median_ratio, take_turns
from benchmarks.serving import served
from benchmarks.team import Team
from fer_client.config import BrokerConfig
from fer_worker.inference.types import EngineOptions

HEIGHT: Final = 720
BATCH: Final = 8
IN_A_ROW: Final = 4
"""Batches of a turn. Who waits for each answer sends the next batch at once."""


def measure(
    broker: BrokerConfig, pictures: Sequence[Picture], effort: Effort
) -> tuple[list[Row], dict[str, Rounds]]:
    """Measure a batch of 8 frames at 720p, with both options.

    Returns:
        Two rows, and the milliseconds of every batch by options. The first row takes what the
        frames need on a single thread, divided by the cores: nothing lost to anything. The second
        one takes the engine's own thread pool: what the broker and the protocol add to it.
    """
    batch = list(islice(cycle(jpegs(scaled(pictures, HEIGHT))), BATCH))
    rounds = {
        column: _measure(broker, options, batch, effort)
        for column, options in both_options("first").items()
    }
    name = f"batch of {BATCH} at {HEIGHT}p"
    return [
        _row(f"{name}, against one thread / {cores()}", rounds, "one thread / cores"),
        _row(f"{name}, against the pool alone", rounds, "pool"),
    ], rounds


def milliseconds(action: Callable[[], object]) -> float:
    """How long something takes."""
    begun = time.perf_counter()
    action()
    return (time.perf_counter() - begun) * 1000


def _measure(
    broker: BrokerConfig, options: EngineOptions, batch: Sequence[bytes], effort: Effort
) -> Rounds:
    with (
        served(broker, options, threads=cores()) as system,
        Team(engine(options, processes=1, threads=cores())) as pool,
        Team(engine(options, processes=1, threads=1)) as single,
    ):
        contestants = {
            "publish to reply": lambda: milliseconds(lambda: system.client.analyze(batch)),
            "pool": lambda: pool.lap(batch).seconds * 1000,
            "one thread / cores": lambda: single.lap(batch).seconds * 1000 / cores(),
        }
        turns = {name: partial(_turn, measure) for name, measure in contestants.items()}
        take_turns(turns, rounds=1)  # until everything has been met
        return take_turns(turns, effort.batches // IN_A_ROW)


def _turn(measure: Callable[[], float]) -> float:
    """The median of some batches in a row."""
    return median(measure() for _ in range(IN_A_ROW))


def _row(name: str, rounds: dict[str, Rounds], against: str) -> Row:
    def cell(column: str) -> Cell:
        own = rounds[column]["publish to reply"]
        return Cell(value=median(own), ratio=median_ratio(own, rounds[column][against]))

    return Row(
        name=name,
        unit="ms",
        reference=median(rounds["default"][against]),
        compat=cell("compat"),
        default=cell("default"),
        target=Target(of="ratio", kind="under", bound=1.3),
    )
