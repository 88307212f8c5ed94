"""Requests of every kind, each with the answer that it is to get."""

import random
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

import pika
from pika.exceptions import AMQPError

from fer_client import FerClient
from fer_client.amqp.blocking import connect
from fer_client.amqp.codec import encode_request
from fer_client.amqp.topology import REQUEST_ROUTING_KEY, Topology
from fer_client.config import BrokerConfig
from fer_schemas import BatchRequest, BatchResult, ContentType, ErrorCode, Frame, Status
from tests.engines import ABORTING_HEIGHT, HANGING_HEIGHT, plain_jpeg
from tests.faults.load import JPEGS
from tests.soak.ledger import Answer, Ledger, answer

BATCHES = 40
BATCHES_PER_S = 30.0
CONNECT_TIMEOUT_S = 60.0

Batch = tuple[Sequence[bytes], Answer]


def _error(code: ErrorCode) -> Answer:
    return (Status.ERROR, (), (), (), ((None, code),))


class ClientTraffic:
    """Good batches at a steady rate, on a thread of its own, and frames that kill or hang."""

    def __init__(self, client: FerClient, ledger: Ledger, chance: random.Random) -> None:
        """Store the parts; `begin` sends."""
        self._client = client
        self._ledger = ledger
        self._chance = random.Random(chance.random())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._number = 0
        self._lock = threading.Lock()
        self.batches: list[Batch] = []

    def begin(self) -> None:
        """Ask for the right answers, one at a time, before anything goes wrong; then send.

        Raises:
            NoAnswerError: one of them does not come.
        """
        for _ in range(BATCHES):
            frames = self._chance.choices(JPEGS, k=self._chance.randint(1, 4))
            result = self._client.analyze(frames, timeout_s=60)
            self.batches.append((frames, answer(result)))
        self._thread.start()

    def end(self) -> None:
        """Send nothing more."""
        self._stop.set()
        self._thread.join()

    def submit_deadly(self) -> None:
        """Send a frame that ends the process that analyses it."""
        self._submit("deadly", [plain_jpeg(60, ABORTING_HEIGHT)], _error(ErrorCode.POISON_MESSAGE))

    def submit_endless(self) -> None:
        """Send a frame whose analysis never ends."""
        self._submit("endless", [plain_jpeg(60, HANGING_HEIGHT)], _error(ErrorCode.POISON_MESSAGE))

    def _run(self) -> None:
        while not self._stop.wait(1 / BATCHES_PER_S):
            self._submit("good", *self._chance.choice(self.batches))

    def _submit(self, kind: str, frames: Sequence[bytes], expected: Answer) -> None:
        with self._lock:
            self._number += 1
            name = f"{self._number}"
        self._ledger.expect(name, kind, expected)
        self._client.submit(frames).add_done_callback(partial(self._on_done, name))

    def _on_done(self, name: str, future: "Future[BatchResult]") -> None:
        error = future.exception()
        if error is None:
            self._ledger.settle(name, future.result())
        else:
            self._ledger.fail(name, error)


class RawTraffic:
    """What no client of ours would send, over a connection for each message."""

    def __init__(self, broker: BrokerConfig, ledger: Ledger) -> None:
        """Store the parts."""
        self._broker = broker
        self._topology = Topology(broker.namespace)
        self._ledger = ledger
        self._number = 0
        self._replies = self._topology.replies("soak")
        self._full = self._topology.replies("full")

    def begin(self) -> None:
        """Make the queue for answers, and one that takes none."""
        with connect(self._broker, "soak", CONNECT_TIMEOUT_S) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare(self._replies, durable=True)
            bounds = {"x-max-length": 1, "x-overflow": "reject-publish"}
            channel.queue_declare(self._full, durable=True, arguments=bounds)
            in_the_way = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent.value)
            channel.basic_publish("", self._full, b"in the way", in_the_way)

    def send_malformed(self) -> None:
        """Send a message that is no request."""
        expected = _error(ErrorCode.MALFORMED_BODY)
        self._send("malformed", b"\xc1", expected, self._replies)

    def send_deserted(self, batch: Batch) -> None:
        """Send a batch whose reply queue is gone: its answer waits among the results."""
        self._send_batch("deserted", batch, self._topology.replies("gone"))

    def send_unread(self, batch: Batch) -> None:
        """Send a batch whose reply queue is full: its answer waits among the results."""
        self._send_batch("unread", batch, self._full)

    def collect(self) -> None:
        """Take in the answers that are there."""
        with connect(self._broker, "soak", CONNECT_TIMEOUT_S) as connection:
            channel = connection.channel()
            for queue in (self._replies, self._topology.results.name):
                while (found := channel.basic_get(queue, auto_ack=True))[0] is not None:
                    _, properties, body = found
                    result = BatchResult.model_validate_json(body)
                    self._ledger.settle(properties.correlation_id, result)

    def _send_batch(self, kind: str, batch: Batch, reply_to: str) -> None:
        frames, expected = batch
        request = BatchRequest(version=1, frames=tuple(Frame(jpeg=jpeg) for jpeg in frames))
        self._send(kind, encode_request(request), expected, reply_to)

    def _send(self, kind: str, body: bytes, expected: Answer, reply_to: str) -> None:
        """Publish until the broker confirms: what it has not confirmed has no promise."""
        self._number += 1
        name = f"{kind}-{self._number}"
        self._ledger.expect(name, kind, expected)
        properties = pika.BasicProperties(
            content_type=ContentType.MSGPACK.value,
            correlation_id=name,
            reply_to=reply_to,
            delivery_mode=pika.DeliveryMode.Persistent.value,
        )
        confirmed = False
        while not confirmed:
            with (
                suppress(AMQPError, OSError),  # a fault
                connect(self._broker, "soak", CONNECT_TIMEOUT_S) as connection,
            ):
                channel = connection.channel()
                channel.confirm_delivery()
                channel.basic_publish(
                    self._topology.requests, REQUEST_ROUTING_KEY, body, properties, mandatory=True
                )
                confirmed = True
