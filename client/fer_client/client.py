"""What a controller imports: publish batches, get futures.

    with FerClient("amqp://localhost") as client:
        future = client.submit([jpeg_bytes], camera_id="door-1")
        result = future.result(timeout=2.0)

Every submitted batch ends: with its result, or with an error that says why there will be none. A
lost connection is mended by itself: what the broker had not confirmed is sent again, and what it
had is answered into the client's own queue, which outlives the connection. Where that queue goes
down with its node of a cluster, the client takes another one and sends everything again. What is
submitted while the broker takes no messages, under a memory or disk alarm, is sent after it.
"""

import logging
import threading
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial

import pika
from pika.adapters.blocking_connection import BlockingConnection
from pika.adapters.select_connection import SelectConnection
from pika.exceptions import ChannelClosedByBroker
from pika.frame import Method

from fer_client.amqp.codec import decode_result, encode_request
from fer_client.amqp.connection import ACCESS_REFUSED, Connection, warn_if_exposed
from fer_client.amqp.consumer import Consumer, Delivery
from fer_client.amqp.publisher import Confirmation, Message, Publisher
from fer_client.amqp.topology import REQUEST_ROUTING_KEY, Topology, declare
from fer_client.config import (
    DEFAULT_NAMESPACE,
    DEFAULT_URL,
    NO_TLS_FILES,
    BrokerConfig,
    TlsFiles,
)
from fer_client.errors import (
    BatchTooLargeError,
    BrokerRefusedError,
    BrokerUnavailableError,
    NoAnswerError,
    NoWorkerQueueError,
    QueueFullError,
)
from fer_client.pending import Pending, PendingBatches
from fer_schemas import (
    MAX_MESSAGE_BYTES,
    BatchRequest,
    BatchResult,
    ContentType,
    FaceSelection,
    Frame,
)

log = logging.getLogger(__name__)

REPLY_QUEUE_EXPIRES_MS = 10 * 60 * 1000
"""How long the reply queue waits for its client to connect again."""

REPLIES_PREFETCH = 64

SWEEP_INTERVAL_S = 1.0

NOT_FOUND = 404
"""What a cluster says of a queue that lives on a node which is down."""


class FerClient:
    """Submits batches of JPEG frames to the workers. Thread-safe; a context manager."""

    def __init__(
        self,
        url: str | BrokerConfig = DEFAULT_URL,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        tls: TlsFiles = NO_TLS_FILES,
        connect_timeout_s: float = 10.0,
        answer_timeout_s: float = 300.0,
    ) -> None:
        """Store what is needed; `connect`, `start`, or entering the context, connects.

        Args:
            url: AMQP URL of the broker, several separated by commas, or a whole configuration.
            namespace: the workers' own; a configuration brings its own.
            tls: files for `amqps://`; a configuration brings its own.
            connect_timeout_s: how long `connect` waits for the broker.
            answer_timeout_s: after this a batch without an answer ends with `NoAnswerError`.
        """
        self._config = (
            url if isinstance(url, BrokerConfig) else BrokerConfig.from_url(url, namespace, tls)
        )
        self._topology = Topology(self._config.namespace)
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._reply_queue = self._new_reply_queue()
        self._connection = Connection(self._config, "client", self, self._prepare)
        self._pending = PendingBatches()
        self._publisher: Publisher | None = None
        self._blocked: str | None = None
        self._user_id: str | None = None
        self._ready = threading.Event()
        self._refusal: BrokerRefusedError | None = None
        self._consumer: Consumer | None = None
        self.dropped = 0
        """Answers nobody waits for: second copies, and those that came too late."""

    def __enter__(self) -> "FerClient":
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to connect and return at once; a broker that is away is waited for.

        For who serves others meanwhile, and looks at `connected` and `refusal`. What is submitted
        before the broker is there is sent when it is.
        """
        warn_if_exposed(self._config)
        self._connection.start()
        self._connection.call(self._sweep)

    def connect(self) -> None:
        """Connect, and be ready to receive answers.

        Raises:
            BrokerRefusedError: the broker refuses the credentials or the virtual host.
            BrokerUnavailableError: no broker within `connect_timeout_s`.
        """
        self.start()
        if not self._ready.wait(self._connect_timeout_s):
            self.close()
            raise BrokerUnavailableError(f"no broker at {self._config}")
        if self._refusal is not None:
            self.close()
            raise self._refusal

    @property
    def connected(self) -> bool:
        """Whether batches can be sent, and answers received, at the moment."""
        return self._publisher is not None and self._blocked is None

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages at the moment: an alarm. Known once one was sent."""
        return self._blocked

    @property
    def refusal(self) -> BrokerRefusedError | None:
        """Why the broker refuses us, once it has; nothing more is tried then."""
        return self._refusal

    def close(self) -> None:
        """Hang up. Batches without an answer end with `BrokerUnavailableError`."""
        self._pending.end(BrokerUnavailableError("the client was closed"))
        self._connection.call(self._hang_up)
        self._connection.join()

    def submit(
        self,
        frames: Iterable[bytes | Frame],
        *,
        camera_id: str | None = None,
        faces: FaceSelection | None = None,
        deadline: datetime | None = None,
        correlation_id: str | None = None,
    ) -> "Future[BatchResult]":
        """Send a batch and return at once.

        Args:
            frames: 1 to 64 JPEG files, as bytes or with an id and a time as `Frame`.
            camera_id: echoed in the result.
            faces: `first` (largest) or `all` faces of each frame; the workers' option without it.
            deadline: answered `expired` if picked up later; with a time zone.
            correlation_id: by which log lines, here and there, tell of this batch; a new one for
                each. A random one without it.

        Returns:
            A future of the result. It may end with `QueueFullError`, `NoWorkerQueueError`,
            `NoAnswerError` or `BrokerError` instead. Who gives up on it cancels it.

        Raises:
            BatchTooLargeError: over the message limit; nothing was sent.
            pydantic.ValidationError: it is not a valid request; nothing was sent.
            ValueError: a batch of this correlation id has no answer yet.
            BrokerError: the client is closed, or the broker refuses us.
        """
        request = BatchRequest(
            version=1,
            frames=tuple(
                frame if isinstance(frame, Frame) else Frame(jpeg=frame) for frame in frames
            ),
            camera_id=camera_id,
            faces=faces,
            deadline=deadline,
            sent_at=datetime.now(UTC),
        )
        body = encode_request(request)
        if len(body) > MAX_MESSAGE_BYTES:
            raise BatchTooLargeError(
                f"the batch has {len(body)} bytes; a message may have {MAX_MESSAGE_BYTES}"
            )
        expires = time.monotonic() + self._answer_timeout_s
        pending = Pending(correlation_id or uuid.uuid4().hex, body, expires)
        self._pending.add(pending)
        self._connection.call(partial(self._send, pending))
        return pending.future

    def analyze(
        self,
        frames: Iterable[bytes | Frame],
        *,
        camera_id: str | None = None,
        faces: FaceSelection | None = None,
        timeout_s: float = 30.0,
    ) -> BatchResult:
        """Send a batch and wait for its result.

        Raises:
            NoAnswerError: no answer within `timeout_s`.
            FerWorkerError: as `submit` and its future.
        """
        future = self.submit(frames, camera_id=camera_id, faces=faces)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise NoAnswerError(f"no answer within {timeout_s:g} s") from None

    # What follows runs on the connection's thread.

    def _prepare(self, parameters: pika.ConnectionParameters) -> None:
        """Declare the reply queue, and the workers' queues if we may and no worker did before."""
        connection = BlockingConnection(parameters)
        try:
            if not self._can_send(connection):
                try:
                    declare(parameters, self._topology)
                except ChannelClosedByBroker as closed:
                    if closed.reply_code != ACCESS_REFUSED:
                        raise
            try:
                self._declare_reply_queue(connection)
            except ChannelClosedByBroker as closed:
                if closed.reply_code != NOT_FOUND:
                    raise
                self._take_another_reply_queue()
                self._declare_reply_queue(connection)
        finally:
            if connection.is_open:
                connection.close()

    def _declare_reply_queue(self, connection: BlockingConnection) -> None:
        connection.channel().queue_declare(
            self._reply_queue,
            durable=True,
            arguments={"x-queue-type": "classic", "x-expires": REPLY_QUEUE_EXPIRES_MS},
        )

    def _new_reply_queue(self) -> str:
        """Make a name. With the user in it, permissions can keep the replies of users apart."""
        return self._topology.replies(f"{self._config.user}.{uuid.uuid4().hex}")

    def _take_another_reply_queue(self) -> None:
        """Ask for everything once more: what is answered into the old queue cannot be read."""
        log.warning("the node of reply queue %s is down; taking another queue", self._reply_queue)
        self._reply_queue = self._new_reply_queue()
        for pending in self._pending.all():
            pending.confirmed = False

    def _can_send(self, connection: BlockingConnection) -> bool:
        """Whether requests have a place to go to; to ask needs no permission."""
        channel = connection.channel()
        try:
            channel.exchange_declare(self._topology.requests, passive=True)
            channel.queue_declare(self._topology.frames.name, passive=True)
        except ChannelClosedByBroker:
            return False
        return True

    def on_open(self, connection: SelectConnection) -> None:
        """Consume answers, then send whatever the broker has not confirmed."""
        # The broker takes no other name than that of the connection; workers may ask for it.
        self._user_id = getattr(connection.params.credentials, "username", None)

        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)

        def consume() -> None:
            self._consumer = Consumer(
                connection, self._reply_queue, REPLIES_PREFETCH, self._on_reply, resume
            )

        def resume() -> None:
            self._publisher = publisher
            self._ready.set()
            self._send_all()

        publisher = Publisher(connection, on_ready=consume)

    def on_lost(self) -> None:
        """Keep what is pending for the next connection."""
        self._publisher = self._consumer = self._blocked = None

    def on_refused(self, error: BrokerRefusedError) -> None:
        """End everything."""
        self._refusal = error
        self._ready.set()
        self._pending.end(error)

    def _on_blocked(self, _: SelectConnection, frame: Method[pika.spec.Connection.Blocked]) -> None:
        """Hold everything back: pika would take it, and keep a copy until the broker reads on."""
        self._blocked = frame.method.reason
        log.warning("the broker takes no messages: %s; they are sent later", self._blocked)

    def _on_unblocked(self, *_: object) -> None:
        self._blocked = None
        log.info("the broker takes messages again")
        self._send_all()

    def _send_all(self) -> None:
        for pending in self._pending.all():
            self._send(pending)

    def _send(self, pending: Pending) -> None:
        if self._publisher is None or self._blocked is not None:
            return  # `_send_all` will
        if pending.confirmed or pending.sent_by is self._publisher or pending.future.done():
            return  # sent already, or given up
        pending.sent_by = self._publisher
        message = Message(
            exchange=self._topology.requests,
            routing_key=REQUEST_ROUTING_KEY,
            body=pending.body,
            properties=pika.BasicProperties(
                content_type=ContentType.MSGPACK.value,
                correlation_id=pending.correlation_id,
                reply_to=self._reply_queue,
                user_id=self._user_id,
                delivery_mode=pika.DeliveryMode.Persistent.value,
            ),
        )
        self._publisher.publish(message, partial(self._on_confirmation, pending))

    def _on_confirmation(self, pending: Pending, confirmation: Confirmation) -> None:
        match confirmation:
            case Confirmation.CONFIRMED:
                pending.confirmed = True
            case Confirmation.RETURNED:
                self._pending.fail(pending, NoWorkerQueueError("no queue takes requests"))
            case Confirmation.REFUSED:
                self._pending.fail(pending, QueueFullError("the queue of requests is full"))

    def _on_reply(self, delivery: Delivery) -> None:
        delivery.ack()
        pending = self._pending.take(delivery.correlation_id or "")
        if pending is None:
            self.dropped += 1
            return
        if not pending.future.set_running_or_notify_cancel():
            return
        try:
            pending.future.set_result(decode_result(delivery.body))
        except ValueError:
            pending.future.set_exception(NoAnswerError("the answer is not of the contract"))

    def _sweep(self) -> None:
        """Give up on answers that are overdue."""
        for pending in self._pending.overdue():
            self._pending.fail(
                pending, NoAnswerError(f"no answer within {self._answer_timeout_s:g} s")
            )
        self._connection.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _hang_up(self) -> None:
        if self._consumer is not None:
            self._consumer.delete_queue()
        self._connection.close()
