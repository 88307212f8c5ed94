r"""How many cores, namespaces and broker nodes so many cameras need, and how far that is right.

\b
python -m benchmarks.capacity plan             the table of docs/capacity.md
python -m benchmarks.capacity check [PICTURE]  the simulation beside running workers, and its plot

The simulation is given what one process does: how long each frame takes it, and the way through the
broker. What it makes of that is compared with one process and with two: how many frames there can
be, and p99 where frames come at random.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import fmean, median
from typing import Final

import click
import matplotlib.pyplot as plt

from benchmarks.arrivals import alone, at_random, due_times, saturated
from benchmarks.machine import this_machine
from benchmarks.pictures import default_pictures, jpegs, scaled
from benchmarks.plot import LINE_COLOURS
from benchmarks.serving import served
from benchmarks.simulation import PREFETCH, Request, simulate
from benchmarks.tables import TextTable, number
from benchmarks.variants import machine
from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_worker.inference.factory import create_engine
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.inference.types import EngineOptions
from fer_worker.limits import FrameLimits
from fer_worker.quantiles import percentile
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.engines import SLOW_HEIGHT, plain_jpeg

IMAGE: Final = Path(__file__).parents[1] / "docs" / "images" / "capacity.png"

CAMERAS: Final = (10, 100, 1_000, 10_000, 100_000)
STREAMS: Final = ((1, 720), (5, 720), (5, 1080))
"""Frames per second of a camera, and their height."""
QUEUE_MB_S: Final = 100.0
"""Planned for one queue on three nodes (benchmarks.queue_capacity)."""
PROCESS_GB: Final = 0.11
BUSY: Final = 0.7
"""Share of the time that processes work at most: what is left takes what comes at once."""
P99_S: Final = 0.5
SIMULATED: Final = 20_000
"""Requests, of which one in a hundred is slower than p99."""

IDLE: Final = 10
"""Times that each frame is sent alone."""
PROCESSES: Final = (1, 2)
LOADS: Final = (0.5, 0.7)
"""Shares of what there can be."""
ENGINES: Final = {"waits 100 ms": "FaultyEngine", "default engine": None}
"""One of the tests', which needs no processor: what else the machine does hardly changes it."""


@dataclass(frozen=True)
class Site:
    """What some cameras need."""

    frames_per_s: float
    mb_per_s: float
    cores: int
    """With a process of one thread each."""
    namespaces: int
    p99_s: float
    """From the delivery by the broker's queue on, simulated."""


@dataclass(frozen=True)
class Process:
    """What one process does, as it was measured."""

    services_s: Sequence[float]
    """Of each frame in turn."""
    path_s: float
    """To the worker and back."""

    def predict(self, due: Sequence[float], processes: int) -> list[float]:
        """Simulate so many processes; return how long each request takes, in seconds."""
        services = cycle(self.services_s)
        requests = [Request(at_s, next(services)) for at_s in due]
        return [took_s + self.path_s for took_s in simulate(requests, processes)]

    def most_per_s(self, processes: int) -> float:
        """Requests per second, with as many under way as one likes."""
        return SIMULATED / max(self.predict([0.0] * SIMULATED, processes))


@dataclass(frozen=True)
class Check:
    """The simulation beside what was seen."""

    processes: int
    load: float | None
    """Share of what there can be; None where as many are under way as one likes."""
    predicted: float
    """Requests per second under any load, p99 in seconds at the others."""
    seen: float


def site(cameras: int, per_s: float, size: int, services_s: Sequence[float]) -> Site:
    """Plan for cameras that know nothing of each other.

    Args:
        cameras: of the site.
        per_s: frames per second of each.
        size: bytes of a frame, on average.
        services_s: seconds of a core per frame, as they are in turn.
    """
    frames_per_s = cameras * per_s
    mb_per_s = frames_per_s * size / 1e6
    namespaces = math.ceil(mb_per_s / QUEUE_MB_S)
    its_own = frames_per_s / namespaces
    process = Process(services_s, path_s=0.0)
    due = list(due_times(its_own, SIMULATED / its_own))
    processes = math.ceil(its_own * fmean(services_s) / BUSY)
    while (p99_s := _p99(process.predict(due, processes))) > P99_S:
        processes += 1
    return Site(frames_per_s, mb_per_s, processes * namespaces, namespaces, p99_s)


def service_times(files: Sequence[bytes]) -> list[float]:
    """Seconds of a core that each frame takes the default engine: what disturbs it only adds."""
    engine, limits = create_engine(EngineOptions()), FrameLimits()

    def seconds(jpeg: bytes) -> float:
        started = time.process_time()
        engine.analyze(decode_frame(jpeg, limits).image, "first")
        return time.process_time() - started

    return [min(seconds(jpeg) for _ in range(5)) for jpeg in files]


def _p99(values: Sequence[float]) -> float:
    return percentile(values, 99) or 0.0


def check(engine: str | None, files: Sequence[bytes]) -> tuple[Process, list[Check]]:
    """Measure one process, predict, and see what one and two really do.

    Args:
        engine: the name of one of the tests', or None for the default one.
        files: a frame each, sent in turn.
    """
    checks = []
    with EmbeddedBroker() as node:
        broker = BrokerConfig.from_url(node.url)
        for processes in PROCESSES:
            with served(broker, EngineOptions(), 1, processes, engine) as system:
                client = system.client
                if processes == 1:
                    process = _measured(client, files)
                most = process.most_per_s(processes)
                seen = saturated(client, _batches(files), 2 * PREFETCH * processes)
                checks.append(Check(processes, None, most, seen))
                for load in LOADS:
                    expected = process.predict(list(due_times(load * most)), processes)
                    _, took_ms = at_random(client, _batches(files), load * most)
                    checks.append(Check(processes, load, _p99(expected), _p99(took_ms) / 1000))
    return process, checks


def _measured(client: FerClient, files: Sequence[bytes]) -> Process:
    path_ms = median(alone(client, [plain_jpeg(20, 20)]) for _ in range(3 * IDLE))
    services = [median(alone(client, [jpeg]) for _ in range(IDLE)) - path_ms for jpeg in files]
    # Frames that follow each other at once take a little less, or more, than those that do not.
    scale = 1 / saturated(client, _batches(files), 2 * PREFETCH) / fmean(services)
    return Process([scale * service for service in services], path_ms / 1000)


def _batches(files: Sequence[bytes]) -> Iterator[list[bytes]]:
    return ([jpeg] for jpeg in cycle(files))


def checks_table(title: str, checks: Sequence[Check]) -> TextTable:
    """Every check, with how far the simulation was off."""

    def row(one: Check) -> tuple[str, ...]:
        what, scale = ("frames/s", 1) if one.load is None else ("p99, ms", 1000)
        load = "all there can be" if one.load is None else f"{one.load:.0%}, {what}"
        return (
            f"{one.processes}: {load}",
            *(number(scale * value) for value in (one.predicted, one.seen)),
            f"{one.predicted / one.seen - 1:+.0%}",
        )

    return TextTable(
        title, ("processes, load", "simulated", "seen", "off by"), tuple(map(row, checks))
    )


def draw(found: dict[str, tuple[Process, list[Check]]], path: Path) -> None:
    """Write the plot of p99 by load, a panel per engine: lines simulated, points seen."""
    plt.switch_backend("Agg")
    figure, panels = plt.subplots(1, len(found), figsize=(9, 3), layout="constrained")
    figure.suptitle(f"{this_machine().cpu}, {this_machine().cores} cores", fontsize=9)
    shares = [step / 20 for step in range(2, 19)]
    for axes, (title, (process, checks)) in zip(panels, found.items(), strict=True):
        for processes, colour in zip(PROCESSES, LINE_COLOURS, strict=False):
            most = process.most_per_s(processes)
            curve = [
                _p99(process.predict(list(due_times(share * most, SIMULATED / most)), processes))
                for share in shares
            ]
            axes.plot(
                [100 * share for share in shares],
                [1000 * p99_s for p99_s in curve],
                color=colour,
                label=f"{processes} simulated",
            )
            its = [one for one in checks if one.processes == processes and one.load]
            axes.plot(
                [100 * (one.load or 0) for one in its],
                [1000 * one.seen for one in its],
                "o",
                color=colour,
                label=f"{processes} seen",
            )
        axes.set_title(f"p99 in ms, {title}", fontsize=10)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(fontsize=8, frameon=False, title="processes", title_fontsize=8)
    figure.supxlabel("load, % of what there can be", fontsize=9)
    figure.savefig(path, dpi=144, format="png")
    plt.close(figure)


def sites_table(sites: dict[tuple[int, int, int], Site]) -> TextTable:
    """What every number of cameras needs."""
    header = ("cameras", "frames/s each", "frames/s", "MB/s", "cores", "memory, GB", "namespaces")
    return TextTable(
        "what cameras need",
        (*header, "broker nodes", "p99, ms"),
        tuple(
            (
                f"{cameras:,}, {height}p",
                str(per_s),
                f"{one.frames_per_s:,.0f}",
                number(one.mb_per_s),
                f"{one.cores:,}",
                number(one.cores * PROCESS_GB),
                str(one.namespaces),
                str(3 * math.ceil(one.namespaces / 3)),
                f"{1000 * one.p99_s:.0f}",
            )
            for (cameras, per_s, height), one in sites.items()
        ),
    )


@click.group(help=__doc__)
def main() -> None:
    """See the two commands."""


@main.command()
def plan() -> None:
    """Print what cameras need."""
    click.echo(machine())
    pictures = default_pictures()
    files = {height: jpegs(scaled(pictures, height)) for height in sorted({h for _, h in STREAMS})}
    services_s = {height: service_times(its) for height, its in files.items()}
    size = {height: round(fmean(map(len, its))) for height, its in files.items()}
    for height, its in services_s.items():
        click.echo(f"{height}p: {size[height]:,} bytes, {1000 * fmean(its):.1f} ms of a core")
    sites = {
        (cameras, per_s, height): site(cameras, per_s, size[height], services_s[height])
        for per_s, height in STREAMS
        for cameras in CAMERAS
    }
    click.echo(f"\n{sites_table(sites).markdown()}")


@main.command(name="check")
@click.argument("picture", type=click.Path(path_type=Path), default=IMAGE)
def check_command(picture: Path) -> None:
    """Measure, print the checks, and draw them."""
    click.echo(machine())
    frames = {"FaultyEngine": [plain_jpeg(60, SLOW_HEIGHT)], None: jpegs(default_pictures())}
    found = {title: check(engine, frames[engine]) for title, engine in ENGINES.items()}
    for title, (_, checks) in found.items():
        click.echo(f"\n{title}\n\n{checks_table(title, checks).markdown()}")
    draw(found, picture)


if __name__ == "__main__":
    main()
