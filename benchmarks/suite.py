"""Everything that is measured, one after the other, into one report."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks import (
    broker_path,
    face_sizes,
    latency,
    memory,
    round_trip,
    scaling,
    startup,
    throughput,
)
from benchmarks.detection import KNOWN_FACES, read_known
from benchmarks.effort import Effort
from benchmarks.machine import Memory, this_machine
from benchmarks.pictures import Picture
from benchmarks.report import Bar, Report
from benchmarks.rounds import Rounds
from fer_client.config import BrokerConfig
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker

BARS = {
    "fer, threads": throughput.FER,
    "fer, processes": throughput.FER_PROCESSES,
    "fer-worker, all faces": "all, default",
    "fer-worker, first face": "first, default",
}


def run(
    pictures: Sequence[Picture],
    folder: Path | None,
    effort: Effort,
    say: Callable[[str], None],
) -> Report:
    """Measure everything.

    Args:
        pictures: the mixed set.
        folder: where it is from, if it is not the default one.
        effort: how much of each.
        say: told what comes next.
    """
    started_at, begun = datetime.now(UTC), time.perf_counter()
    say("frames/s, with fer")
    speed = throughput.measure(pictures, effort)
    with EmbeddedBroker() as node:
        broker = BrokerConfig.from_url(node.url)
        say("memory at 1080p")
        resident = memory.measure_resident(broker, pictures, effort)
        say("start")
        start, starts = startup.measure(broker, pictures, effort)
        say("latency")
        delays, delay_parts, batches = latency.measure(broker, pictures, effort)
        say("latency by batch size and frame size")
        by_size = scaling.measure_latency(broker, pictures, effort)
        say("broker path")
        path, path_cpu, paths = broker_path.measure(node.url, effort)
        say("round trip, with Celery, Dramatiq and FastStream")
        trips, trip_rates = round_trip.measure(node.url, effort)
    say("frames/s by threads and processes")
    by_plan = scaling.measure_rates(pictures, effort)
    say("frames/s and faces found by --min-face-size")
    sizes, by_size_of_face = face_sizes.measure(
        folder, read_known(KNOWN_FACES), effort.frame_rounds
    )
    say("memory growth")
    growth, grown = memory.measure_growth(pictures, effort)
    return Report(
        started_at=started_at,
        seconds=time.perf_counter() - begun,
        machine=this_machine(),
        pictures=tuple(f"{p.name}: {p.width}x{p.height}" for p in pictures),
        same_answers=speed.same_answers,
        rows=(*speed.rows, *resident.rows, start, growth, path, *delays),
        bars=bars_of(speed.rounds["mixed set"], resident.memory),
        grids=(by_plan, by_size, delay_parts, path_cpu, *trips),
        face_sizes=sizes,
        rounds={
            **{f"frames/s, {name}": rounds for name, rounds in speed.rounds.items()},
            **{f"ms, {column}": rounds for column, rounds in batches.items()},
            **{f"frames/s by face, {name}": rounds for name, rounds in by_size_of_face.items()},
            "seconds to start": starts,
            "messages/s": paths,
            **trip_rates,
        },
        memory=resident.memory,
        growth_mb=grown,
    )


def bars_of(rates: Rounds, resident: dict[str, Memory]) -> tuple[Bar, ...]:
    """The bars of the plot."""
    return tuple(
        Bar(name=name, frames_per_second=median(rates[key]), memory_mb=resident[key].pss)
        for name, key in BARS.items()
    )
