"""Publish to reply, one batch at a time, against the time of its frames alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from statistics import median
from typing import Final

from benchmarks.contenders import both_options, engine
from benchmarks.effort import Effort
from benchmarks.machine import cores
from benchmarks.pictures import Picture, jpegs, scaled
from benchmarks.report import Cell, Grid, Row, Target
from benchmarks.rounds import Rounds, median_ratio, take_turns
from benchmarks.serving import served
from benchmarks.team import Team
from fer_client.config import BrokerConfig
from fer_worker.inference.types import EngineOptions

HEIGHT: Final = 720
BATCH: Final = 8
IN_A_ROW: Final = 4
"""Batches of a turn. Who waits for each answer sends the next batch at once."""

_Parts = tuple[float, float, float]
"""Milliseconds of a batch: until a worker has it, in the worker, and the rest."""


def measure(
    broker: BrokerConfig, pictures: Sequence[Picture], effort: Effort
) -> tuple[list[Row], Grid, dict[str, Rounds]]:
    """Measure a batch of 8 frames at 720p, with both options.

    Returns:
        Two rows, where the time of a batch goes, and the milliseconds of every turn by options.
        The first row takes what the frames need on a single thread, divided by the cores: nothing
        lost to anything. The second one takes the engine's own thread pool: what the broker and
        the protocol add to it.
    """
    batch = list(islice(cycle(jpegs(scaled(pictures, HEIGHT))), BATCH))
    measured = {
        column: _measure(broker, options, batch, effort)
        for column, options in both_options("first").items()
    }
    rounds = {column: its_rounds for column, (its_rounds, _) in measured.items()}
    name = f"batch of {BATCH} at {HEIGHT}p"
    return (
        [
            _row(f"{name}, against one thread / {cores()}", rounds, "one thread / cores", 1.3),
            _row(f"{name}, against the pool alone", rounds, "pool", 1.15),
        ],
        _grid(name, {column: parts for column, (_, parts) in measured.items()}),
        rounds,
    )


def milliseconds(action: Callable[[], object]) -> float:
    """How long something takes."""
    begun = time.perf_counter()
    action()
    return (time.perf_counter() - begun) * 1000


def _measure(
    broker: BrokerConfig, options: EngineOptions, batch: Sequence[bytes], effort: Effort
) -> tuple[Rounds, list[_Parts]]:
    parts: list[_Parts] = []

    def publish_to_reply() -> float:
        begun = time.perf_counter()
        timings = system.client.analyze(batch).timings_ms
        took = (time.perf_counter() - begun) * 1000
        assert timings is not None
        assert timings.queued is not None
        parts.append((timings.queued, timings.total, took - timings.queued - timings.total))
        return took

    with (
        served(broker, options, threads=cores()) as system,
        Team(engine(options, processes=1, threads=cores())) as pool,
        Team(engine(options, processes=1, threads=1)) as single,
    ):
        contestants = {
            "publish to reply": publish_to_reply,
            "pool": lambda: pool.lap(batch).seconds * 1000,
            "one thread / cores": lambda: single.lap(batch).seconds * 1000 / cores(),
        }
        turns = {name: partial(_turn, measure) for name, measure in contestants.items()}
        take_turns(turns, rounds=1)  # until everything has been met
        parts.clear()
        return take_turns(turns, effort.batches // IN_A_ROW), parts


def _grid(name: str, parts: Mapping[str, Sequence[_Parts]]) -> Grid:
    return Grid(
        title=f"milliseconds of a {name}, median",
        corner="",
        columns=("to the worker", "in the worker", "the rest"),
        rows=tuple("--compat fer" if column == "compat" else column for column in parts),
        cells=tuple(
            tuple(map(median, zip(*its_parts, strict=True))) for its_parts in parts.values()
        ),
    )


def _turn(measure: Callable[[], float]) -> float:
    """The median of some batches in a row."""
    return median(measure() for _ in range(IN_A_ROW))


def _row(name: str, rounds: dict[str, Rounds], against: str, times: float) -> Row:
    def cell(column: str) -> Cell:
        own = rounds[column]["publish to reply"]
        return Cell(value=median(own), ratio=median_ratio(own, rounds[column][against]))

    return Row(
        name=name,
        unit="ms",
        reference=median(rounds["default"][against]),
        compat=cell("compat"),
        default=cell("default"),
        target=Target(of="ratio", kind="under", bound=times),
    )
