"""Messages per second with an engine that does nothing, against pika alone doing the same.

Both take requests of 100 kB from a quorum queue, publish a persistent, mandatory, confirmed reply,
and ack once it is confirmed, with the same number of them unanswered. The requests are in the queue
beforehand and replies stay in theirs, so that neither competes with a publisher or a reader.
"""

import multiprocessing
import secrets
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import process_time
from typing import TYPE_CHECKING, Final, cast

import msgpack
import pika
from pika.adapters.blocking_connection import BlockingConnection

from benchmarks.bare_loop import serve_bare
from benchmarks.effort import Effort
from benchmarks.machine import cores
from benchmarks.report import Cell, Grid, Row, Target
from benchmarks.rounds import Rounds, median_ratio, take_turns
from fer_client.amqp.codec import encode_json
from fer_client.amqp.topology import REQUEST_ROUTING_KEY, Topology
from fer_client.config import BrokerConfig
from fer_schemas import FaceSelection, FrameResult
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.inference.types import Analysis, EngineOptions
from fer_worker.limits import Limits
from fer_worker.serving.request_decoder import decode_request
from fer_worker.serving.result_builder import FrameOutcome, summarize
from tests.engines import plain_jpeg
from tests.loops import declare_queues
from tests.serving import serving
from tests.waiting import wait_until

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

PREFETCH: Final = 64
FRAME_BYTES: Final = 100_000
CONTENT_TYPE: Final = "application/msgpack"

Serve = Callable[[BrokerConfig, int, int], Sequence[float]]
"""Serves a namespace with a prefetch until it has seen so many requests; returns when it saw each,
in seconds."""


class NoEngine:
    """Sees nothing, at once, and keeps when it was asked."""

    def __init__(self) -> None:
        self.options = EngineOptions()
        self.asked: list[float] = []

    def analyze(self, image: "BGRImage", faces: FaceSelection) -> Analysis:
        """Implement `Engine`."""
        self.asked.append(time.perf_counter())
        return Analysis((), 0.0, 0.0)


def measure(url: str, effort: Effort) -> tuple[Row, Grid, Rounds]:
    """Let both take turns.

    Returns:
        The row, where the CPU of a message goes, and the messages/s of every turn.
    """
    turns = take_turns(
        {
            "bare": partial(_turn, url, serve_bare, effort.messages),
            "worker": partial(_turn, url, serve_worker, effort.messages),
        },
        effort.rounds,
    )
    rounds = {name: [turn.rate for turn in its_turns] for name, its_turns in turns.items()}
    row = Row(
        name="no engine, 100 kB, against bare pika",
        unit="messages/s",
        reference=median(rounds["bare"]),
        default=Cell(
            value=median(rounds["worker"]), ratio=median_ratio(rounds["worker"], rounds["bare"])
        ),
        target=Target(of="ratio", kind="at least", bound=0.85),
    )
    cpu_us = {
        f"{name}, all": median(turn.cpu_us for turn in its_turns)
        for name, its_turns in turns.items()
    }
    return row, _grid(cpu_us | _parts(effort.rounds)), rounds


def _grid(cpu_us: Mapping[str, float]) -> Grid:
    return Grid(
        title="microseconds of CPU per message of 100 kB, no engine",
        corner="",
        columns=tuple(cpu_us),
        rows=("median",),
        cells=(tuple(cpu_us.values()),),
    )


def _parts(rounds: int) -> dict[str, float]:
    """What a message takes alone, on one thread, that bare pika does not do."""
    jpeg, limits = padded_jpeg(FRAME_BYTES), Limits()
    body, outcome = _body(jpeg), FrameOutcome(FrameResult(id=None, width=40, height=40, faces=()))
    request = decode_request(body, CONTENT_TYPE, {}, limits)

    def result() -> bytes:
        return encode_json(
            summarize(
                request,
                [outcome],
                options=EngineOptions(),
                total_ms=0.0,
                queued_ms=None,
                correlation_id="0",
                redelivered=False,
                worker="",
            )
        )

    parts: dict[str, Callable[[], object]] = {
        "reading the request": lambda: decode_request(body, CONTENT_TYPE, {}, limits),
        "decoding its frame": lambda: decode_frame(jpeg, limits.frame),
        "writing the result": result,
    }
    return {
        name: median(timeit.repeat(part, timer=process_time, number=1_000, repeat=rounds)) * 1e3
        for name, part in parts.items()
    }


def serve_worker(broker: BrokerConfig, prefetch: int, messages: int) -> Sequence[float]:
    """Serve with this worker's service; see `Serve`."""
    engine = NoEngine()
    with serving(broker, engine, threads=cores(), prefetch=prefetch):
        wait_until(lambda: len(engine.asked) == messages, timeout_s=60)
    return engine.asked


def rate_of(times: Sequence[float]) -> float:
    """Messages per second once it is under way: without the first tenth."""
    steady = times[len(times) // 10 :]
    return (len(steady) - 1) / (steady[-1] - steady[0])


@dataclass(frozen=True)
class _Turn:
    rate: float
    """Messages per second."""
    cpu_us: float
    """Microseconds of CPU per message; what the process takes to connect and close is in it."""


def _turn(url: str, serve: Serve, messages: int) -> _Turn:
    """Fill the queue of a new namespace, and have a fresh process empty it."""
    broker = BrokerConfig.from_url(url, namespace=f"path-{secrets.token_hex(4)}")
    topology = Topology(broker.namespace)
    parameters = pika.URLParameters(url)
    declare_queues(url, topology.namespace)
    with BlockingConnection(parameters) as connection:
        channel = connection.channel()
        replies = topology.replies("path")
        channel.queue_declare(replies, durable=True, arguments={"x-queue-type": "classic"})
        body = _body(padded_jpeg(FRAME_BYTES))
        for number in range(messages):
            properties = pika.BasicProperties(
                content_type=CONTENT_TYPE,
                correlation_id=str(number),
                reply_to=replies,
                delivery_mode=pika.DeliveryMode.Persistent.value,
            )
            channel.basic_publish(topology.requests, REQUEST_ROUTING_KEY, body, properties)

        def waiting() -> int:
            queue = channel.queue_declare(topology.frames.name, passive=True)
            return int(queue.method.message_count)

        wait_until(lambda: waiting() == messages, timeout_s=60, what="all requests are queued")
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as process:
            turn = process.submit(_timed, serve, broker, messages).result()
        for queue in (*topology.queues, replies):
            channel.queue_delete(queue)
    return turn


def _timed(serve: Serve, broker: BrokerConfig, messages: int) -> _Turn:
    begun = process_time()
    times = serve(broker, PREFETCH, messages)
    return _Turn(rate_of(times), (process_time() - begun) / messages * 1e6)


def _body(jpeg: bytes) -> bytes:
    return cast("bytes", msgpack.packb({"version": 1, "frames": [{"jpeg": jpeg}]}))


def padded_jpeg(size: int) -> bytes:
    """A tiny JPEG that comments make `size` bytes long: to decode it costs next to nothing."""
    jpeg = plain_jpeg(40)
    start, rest = jpeg[:2], jpeg[2:]
    while (missing := size - len(start) - len(rest)) > 0:
        # ITU-T T.81, B.2.4.5: marker, length including its own two bytes, comment.
        length = max(2, min(missing - 2, 0xFFFF))
        start += b"\xff\xfe" + length.to_bytes(2) + bytes(length - 2)
    return start + rest
