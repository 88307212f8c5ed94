"""The arithmetic of docs/deployment.md ("Sizing") against what is measured.

    python -m benchmarks.sizing

Two figures go in: how long a batch takes in an idle system, and how many a second there can be.
What the arithmetic makes of them is printed beside what is seen when batches come at random, as
they do from many cameras that know nothing of each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.arrivals import alone, at_random, saturated
from benchmarks.machine import cores, this_machine
from benchmarks.pictures import default_pictures, jpegs
from benchmarks.serving import served
from fer_client.config import BrokerConfig
from fer_worker.inference.types import EngineOptions
from fer_worker.quantiles import percentile
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker

FRAMES: Final = 4
"""Of a batch."""
IDLE_BATCHES: Final = 100
BUSY: Final = (0.3, 0.5, 0.7, 0.85)
"""Shares of what there can be."""


@dataclass(frozen=True)
class Prediction:
    """What is to be expected at a busy share."""

    frames_per_s: float
    p99_ms: float


def predict(
    busy: float, batches_per_s: float, service_ms: float, idle_p99_ms: float, servers: int
) -> Prediction:
    """Apply the arithmetic of docs/deployment.md.

    Mean wait by Sakasegawa (1977), arrivals at random and service times that hardly vary; the waits
    of those that wait at all are taken as exponential, as in heavy traffic (Kingman).

    Args:
        busy: share of the time that servers work, 0..1.
        batches_per_s: that there can be at most.
        service_ms: of a batch on one server, in the median.
        idle_p99_ms: of a batch in an idle system.
        servers: processes of one thread.
    """
    waits = busy ** (math.sqrt(2 * (servers + 1)) - 1)
    mean_ms = service_ms / 2 * waits / (servers * (1 - busy))
    longest_ms = mean_ms / waits * math.log(100 * waits) if waits > 0.01 else 0.0
    return Prediction(busy * batches_per_s * FRAMES, idle_p99_ms + longest_ms)


def main() -> None:
    """Measure, predict, and print both."""
    pictures = jpegs(default_pictures())
    endless = cycle(pictures)
    batches = iter(lambda: [next(endless) for _ in range(FRAMES)], None)
    servers = cores()
    with EmbeddedBroker() as node:
        broker = BrokerConfig.from_url(node.url)
        with served(broker, EngineOptions(), threads=1, processes=servers) as system:
            client = system.client
            idle = [alone(client, next(batches)) for _ in range(IDLE_BATCHES)]
            most = saturated(client, batches, 4 * servers)
            # What a batch takes where all servers are busy, without the queue.
            service_ms = servers / most * 1000
            rows = [
                (
                    busy,
                    predict(busy, most, service_ms, _p99(idle), servers),
                    at_random(client, batches, busy * most),
                )
                for busy in BUSY
            ]
    _tell(idle, most, rows)


def _p99(latencies_ms: Sequence[float]) -> float:
    found = percentile(latencies_ms, 99)
    assert found is not None
    return found


def _tell(
    idle: list[float],
    most: float,
    rows: list[tuple[float, Prediction, tuple[float, list[float]]]],
) -> None:
    machine = this_machine()
    console = Console(width=100)
    console.print(
        f"{machine.cpu}, {machine.cores} cores; batches of {FRAMES} frames, default options\n"
        f"a batch alone: {median(idle):.0f} ms, p99 {_p99(idle):.0f} ms; "
        f"at most {most:.1f} batches/s, {most * FRAMES:.0f} frames/s"
    )
    table = Table()
    for name in ("busy", "frames/s predicted", "seen", "p99 ms predicted", "seen", "p50 ms seen"):
        table.add_column(name, justify="right")
    for busy, expected, (batches_per_s, latencies) in rows:
        table.add_row(
            f"{busy:.0%}",
            f"{expected.frames_per_s:.0f}",
            f"{batches_per_s * FRAMES:.0f}",
            f"{expected.p99_ms:.0f}",
            f"{_p99(latencies):.0f}",
            f"{median(latencies):.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
