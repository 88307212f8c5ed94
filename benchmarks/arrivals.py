"""Batches sent to running workers: one alone, as many as there can be, and at random."""

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final

from benchmarks.latency import milliseconds
from fer_client import FerClient
from fer_schemas import BatchResult

FULL_S: Final = 10.0
STEP_S: Final = 30.0
SEED: Final = 1
TIMEOUT_S: Final = 60.0


def alone(client: FerClient, batch: Sequence[bytes]) -> float:
    """Milliseconds that one batch takes."""
    return milliseconds(lambda: client.analyze(batch))


def saturated(client: FerClient, batches: Iterator[Sequence[bytes]], under_way: int) -> float:
    """Batches per second with so many always under way."""
    futures = [client.submit(next(batches)) for _ in range(under_way)]
    done = 0
    started = time.perf_counter()
    while time.perf_counter() - started < FULL_S:
        futures.pop(0).result(TIMEOUT_S)
        futures.append(client.submit(next(batches)))
        done += 1
    rate = done / (time.perf_counter() - started)
    for future in futures:
        future.result(TIMEOUT_S)
    return rate


def due_times(per_s: float, seconds: float = STEP_S) -> Iterator[float]:
    """Seconds at which batches are due that come at random, the same ones every time."""
    chance = random.Random(SEED)
    due = chance.expovariate(per_s)
    while due < seconds:
        yield due
        due += chance.expovariate(per_s)


def at_random(
    client: FerClient, batches: Iterator[Sequence[bytes]], per_s: float
) -> tuple[float, list[float]]:
    """Return batches/s, and the milliseconds of each batch from the moment it was due."""
    latencies: list[float] = []
    futures: list[Future[BatchResult]] = []

    def ended(due: float, _: Future[BatchResult]) -> None:
        latencies.append((time.perf_counter() - due) * 1000)

    started = time.perf_counter()
    for due in due_times(per_s):
        time.sleep(max(0.0, started + due - time.perf_counter()))
        future = client.submit(next(batches))
        future.add_done_callback(partial(ended, started + due))
        futures.append(future)
    for future in futures:
        future.result(TIMEOUT_S)
    return len(futures) / (time.perf_counter() - started), latencies
