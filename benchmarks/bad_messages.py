"""What a thousand bad messages between good batches cost the good ones.

    python -m benchmarks.bad_messages

Two turns a round, one with the good batches alone and one with bad messages between them, each with
workers of its own. First the good ones come at half the rate that the workers can take, for their
latency; then as fast as they are answered. Every answer must be the right one, those to the bad
messages too.
"""

import secrets
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import click
from rich.console import Console

from benchmarks.machine import cores, this_machine
from benchmarks.pictures import default_pictures, jpegs, scaled
from benchmarks.rounds import median_ratio
from benchmarks.serving import run_arguments
from benchmarks.tables import TextTable, number
from fer_client import FerClient
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from fer_schemas import BatchResult, ErrorCode, Status
from fer_worker.inference.types import EngineOptions
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.engines import plain_jpeg
from tests.faults.load import measured
from tests.jpegs import BASELINE, flat_jpeg
from tests.loops import declare_queues
from tests.serving import Sender, request, running
from tests.waiting import wait_until

HEIGHT: Final = 720
FRAMES: Final = 4
"""Of a good batch."""

WINDOW: Final = 16
"""Good batches that are unanswered at once where they come as fast as they are answered."""

MAX_MESSAGE_BYTES: Final = 640 * 1024
"""What the workers take here; a good batch has 550 KiB. Messages over the default limit, of 16 MiB
each, would measure the broker's disk."""

TIMEOUT_S: Final = 120.0


@dataclass(frozen=True)
class Bad:
    """A bad message and the code that it is to be answered with."""

    code: ErrorCode
    body: bytes | dict[str, Any] = field(repr=False)
    content_type: str = "application/msgpack"


_JPEG: Final = plain_jpeg(60)
_CUT_OFF: Final = plain_jpeg(1280, 720)[:-100]
_BOMB: Final = flat_jpeg(BASELINE, 7680, 5200, data=b"")

BAD: Final = (
    Bad(ErrorCode.MALFORMED_BODY, b"\xc1"),
    Bad(ErrorCode.UNKNOWN_CONTENT_TYPE, request(_JPEG), "text/plain"),
    Bad(ErrorCode.MESSAGE_TOO_LARGE, bytes(MAX_MESSAGE_BYTES + 1)),
    Bad(ErrorCode.INVALID_REQUEST, request(_JPEG, deadlin="2026-11-23T10:00:00Z")),
    Bad(ErrorCode.TOO_MANY_PIXELS_IN_BATCH, request(*[_BOMB] * 64)),
    Bad(ErrorCode.DAMAGED_JPEG, request(*[_CUT_OFF] * FRAMES)),
    Bad(ErrorCode.FORBIDDEN_REPLY_TO, request(_JPEG)),
)
"""Sent in turn."""

NOT_ANSWERED: Final = ErrorCode.FORBIDDEN_REPLY_TO
NOT_BURIED: Final = ErrorCode.DAMAGED_JPEG
"""The fault of a frame, not of the message."""


class BadTraffic:
    """Sends bad messages, and knows what should come of them."""

    def __init__(self, sender: Sender) -> None:
        """Store the sender; its reply queue is for these messages alone."""
        self._sender = sender
        self._topology = Topology(sender.namespace)
        self._bad = cycle(BAD)
        self._sent: Counter[ErrorCode] = Counter()

    def send(self, messages: int) -> None:
        """Send some, each confirmed by the broker."""
        for bad in islice(self._bad, messages):
            own = bad.code is not ErrorCode.FORBIDDEN_REPLY_TO
            reply_to = "own" if own else self._topology.frames.name
            self._sender.send(bad.body, bad.content_type, reply_to=reply_to)
            self._sent[bad.code] += 1

    def check(self) -> None:
        """Wait until all have ended, each as it should."""
        expected = Counter({code: n for code, n in self._sent.items() if code != NOT_ANSWERED})
        answered: Counter[ErrorCode] = Counter()
        for _ in range(expected.total()):
            _, body = self._sender.take(timeout_s=TIMEOUT_S)
            answered[BatchResult.model_validate_json(body).errors[0].code] += 1
        assert answered == expected
        dead_lettered = self._sent.total() - self._sent[NOT_BURIED]
        wait_until(lambda: self._sender.depth(self._topology.dead.name) == dead_lettered)


class GoodTraffic:
    """Good batches, all alike, whose right answer is asked for before."""

    def __init__(self, client: FerClient, batch: Sequence[bytes]) -> None:
        """Ask for it."""
        self._client = client
        self._batch = batch
        result = client.analyze(batch, timeout_s=TIMEOUT_S)
        assert result.status is Status.SUCCESS
        self._right = measured(result)

    def send(
        self, batches: int, before_each: Callable[[], None], per_s: float | None = None
    ) -> tuple[list[float], float]:
        """Submit batches and check every answer.

        Args:
            batches: how many.
            before_each: called before each of them.
            per_s: how many a second, whatever becomes of them; without it `WINDOW` of them are
                kept unanswered.

        Returns:
            The milliseconds that each took, in no order, and how many were answered a second.
        """
        room = threading.Semaphore(WINDOW)
        latencies_ms: list[float] = []

        def on_done(submitted: float, _: "Future[BatchResult]") -> None:
            latencies_ms.append((time.perf_counter() - submitted) * 1000)
            room.release()

        begun = time.perf_counter()
        futures = []
        for index in range(batches):
            before_each()
            if per_s is None:
                room.acquire()
            else:
                time.sleep(max(0.0, begun + index / per_s - time.perf_counter()))
            submitted = time.perf_counter()
            futures.append(self._client.submit(self._batch))
            futures[-1].add_done_callback(partial(on_done, submitted))
        for future in futures:
            assert measured(future.result(TIMEOUT_S)) == self._right
        seconds = time.perf_counter() - begun
        wait_until(lambda: len(latencies_ms) == batches)
        return latencies_ms, batches / seconds


Figures = dict[str, float]
"""What a turn shows of the good batches, and the lines that were logged meanwhile."""


def take_turn(
    url: str, batch: Sequence[bytes], batches: int, bad_for_each: int, per_s: float
) -> Figures:
    """Start workers, send good batches with bad messages between them, stop the workers."""
    broker = BrokerConfig.from_url(url, f"bad-{secrets.token_hex(4)}")
    topology = Topology(broker.namespace)
    declare_queues(url, topology.namespace)
    arguments = run_arguments(EngineOptions(), threads=1, processes=cores())
    with tempfile.TemporaryDirectory() as folder, Sender(url, broker.namespace) as sender:
        log = Path(folder) / "worker.log"
        limit = f"--max-message-bytes={MAX_MESSAGE_BYTES}"
        with running(log, broker, *arguments, limit) as workers, FerClient(broker) as client:
            wait_until(lambda: len(workers.ready_pids()) == cores(), 60, "workers are ready")
            good, bad = GoodTraffic(client, batch), BadTraffic(sender)
            send_bad = partial(bad.send, bad_for_each)
            latencies_ms, _ = good.send(batches, send_bad, per_s)
            _, rate = good.send(batches, send_bad)
            bad.check()
        lines = log.read_text().count("\n")
        for queue in topology.queues:
            sender.channel.queue_delete(queue)
    return {
        "p50, ms": median(latencies_ms),
        "p95, ms": quantiles(latencies_ms, n=20)[-1],
        "batches/s": rate,
        "log lines": lines,
    }


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--batches", default=200, show_default=True, help="Good ones, at each pace.")
@click.option("--bad", default=1000, show_default=True, help="Bad messages between them.")
def main(rounds: int, batches: int, bad: int) -> None:
    """Measure good batches alone and with bad messages between them, in turns."""
    batch = jpegs(scaled(default_pictures()[:FRAMES], HEIGHT))
    contestants = {"alone": 0, "with bad ones": bad // batches}
    figures: dict[str, list[Figures]] = {name: [] for name in contestants}
    with EmbeddedBroker() as node:
        per_s = take_turn(node.url, batch, WINDOW, 0, per_s=4)["batches/s"] / 2
        for _ in range(rounds):
            for name, bad_for_each in contestants.items():
                figures[name].append(take_turn(node.url, batch, batches, bad_for_each, per_s))
    machine = this_machine()
    console = Console()
    console.print(f"{machine.cpu}, {machine.cores} cores, {machine.system}")
    console.print(f"latency at {per_s:.1f} batches/s of {FRAMES} frames at {HEIGHT}p")
    console.print(_table(figures["alone"], figures["with bad ones"], bad).rich())


def _table(alone: Sequence[Figures], beside: Sequence[Figures], bad: int) -> TextTable:
    rows = []
    for name in alone[0]:
        before, after = ([turn[name] for turn in turns] for turns in (alone, beside))
        ratio = number(median_ratio(after, before))
        rows.append((name, number(median(before)), number(median(after)), ratio))
    header = ("good batches", "alone", f"with {bad:,} bad ones", "ratio")
    return TextTable("", header, tuple(rows))


if __name__ == "__main__":
    main()
