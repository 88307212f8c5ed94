"""Batches under way on one loop: sent, answered, sent again after a lost connection.

Every batch ends: with its result, or with an error that says why there will be none. What the
broker had not confirmed is sent again, and what it had is answered into the reply queue, which
outlives the connection. Where that queue goes down with its node of a cluster, another one is
taken and everything is sent again. What is submitted while the broker takes no messages, under a
memory or disk alarm, is sent after it.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pika
from pika.exceptions import ChannelClosedByBroker

from fer_client.amqp.channel import BrokerSilentError
from fer_client.amqp.codec import decode_result
from fer_client.amqp.connection import CLOSE_LIMIT_S, Connection
from fer_client.amqp.consumer import Consumer, Delivery
from fer_client.amqp.failures import ACCESS_REFUSED, NOT_FOUND
from fer_client.amqp.parameters import node_parameters
from fer_client.amqp.publisher import Confirmation, Message, Publisher
from fer_client.amqp.sessions import LONGEST_PAUSE_S, keep_connected
from fer_client.amqp.topology import REQUEST_ROUTING_KEY, Topology, declare
from fer_client.attendance import Attendance
from fer_client.config import BrokerConfig
from fer_client.errors import (
    BrokerError,
    BrokerRefusedError,
    BrokerUnavailableError,
    NoAnswerError,
    NoWorkerQueueError,
    NoWorkersError,
    QueueFullError,
)
from fer_schemas import BatchResult, ContentType

log = logging.getLogger(__name__)

REPLY_QUEUE_EXPIRES_MS = 10 * 60 * 1000
"""How long the reply queue waits for its client to connect again."""

REPLIES_PREFETCH = 64

SWEEP_INTERVAL_S = 1.0

CONNECTION_NAME = "client"
"""What the broker's operator sees."""


OnEnd = Callable[[BatchResult | Exception], None]


@dataclass
class PendingBatch:
    """A batch that has no answer yet."""

    correlation_id: str
    body: bytes
    """Kept until the answer is there: it may have to be sent again."""
    on_end: OnEnd
    """Called once, on the loop."""
    expires: float
    """On the monotonic clock."""
    waits_for_workers: bool = True
    """Else it ends where there are none."""
    sent_by: Publisher | None = None
    """Whose confirmation is awaited; another connection has another one."""
    confirmed: bool = False
    """The broker has it, and so its answer will come into our queue."""


class BatchExchange:
    """Sends batches and takes their answers, over one connection after another."""

    def __init__(self, config: BrokerConfig, answer_timeout_s: float) -> None:
        """Store what is needed.

        Args:
            config: where the broker is.
            answer_timeout_s: named in the errors of batches that are overdue.

        Raises:
            FerWorkerError: a URL or a TLS file of the configuration cannot be used.
        """
        node_parameters(config, CONNECTION_NAME)  # said now, and not when it connects
        self.refusal: BrokerRefusedError | None = None
        """Why the broker refuses us; nothing more is tried then."""
        self.dropped = 0
        """Answers nobody waits for: second copies, and those that came too late."""
        self.ready = asyncio.Event()
        """Set once batches can be sent for the first time, or the broker has refused us."""
        self._config = config
        self._topology = Topology(config.namespace)
        self._answer_timeout_s = answer_timeout_s
        self._reply_queue = self._new_reply_queue()
        self._pending: dict[str, PendingBatch] = {}
        self._connection: Connection | None = None
        self._publisher: Publisher | None = None
        self._attendance = Attendance(self._topology, self._end_impatient)
        self._closing = asyncio.Event()
        self._end_of_all: BrokerError | None = None

    @property
    def connected(self) -> bool:
        """Whether batches can be sent, and answers received, at the moment."""
        return self._publisher is not None and self.blocked is None

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages at the moment: an alarm. Known once one was sent."""
        return None if self._connection is None else self._connection.blocked

    @property
    def silence(self) -> str | None:
        """Why no answers come at the moment, as far as known."""
        if self.blocked is not None:
            return f"the broker takes no messages: {self.blocked}"
        return self._attendance.absence if self.connected else "not connected to the broker"

    def no_answer(self, within_s: float) -> str:
        """Say that there was no answer within a time, and why if that is known."""
        return f"no answer within {within_s:g} s" + (f": {self.silence}" if self.silence else "")

    async def run(self) -> None:
        """Exchange batches until `close`; a broker that is away is waited for."""
        sweeping = asyncio.create_task(self._sweep())
        try:
            await keep_connected(self._config, CONNECTION_NAME, self._serve, until=self._closing)
        except BrokerRefusedError as error:
            self.refusal = error
            self.end_all(error)
            self.ready.set()
            await self._closing.wait()
        finally:
            sweeping.cancel()
            self.end_all(BrokerUnavailableError("the client has ended"))

    def close(self) -> None:
        """Have `run` delete the reply queue and return. Batches without an answer end."""
        self.end_all(BrokerUnavailableError("the client was closed"))
        self._closing.set()

    def add(self, batch: PendingBatch) -> None:
        """Send a batch, now or when the broker is there.

        Raises:
            ValueError: there is one of this correlation id.
        """
        if self._end_of_all is not None:
            batch.on_end(self._end_of_all)
            return
        if batch.correlation_id in self._pending:
            raise ValueError("a batch of this correlation id is under way")
        if not self._pending:
            self._attendance.expect()
        self._pending[batch.correlation_id] = batch
        self._send(batch)

    def forget(self, correlation_id: str, on_end: OnEnd) -> None:
        """Let the batch of that name and end go; nobody waits for it any more."""
        batch = self._pending.get(correlation_id)
        if batch is not None and batch.on_end is on_end:
            del self._pending[correlation_id]

    def end_all(self, error: BrokerError) -> None:
        """End every batch under way with an error, and any that comes later."""
        self._end_of_all = self._end_of_all or error
        for batch in list(self._pending.values()):
            self._end(batch, error)

    def _end(self, batch: PendingBatch, outcome: BatchResult | Exception) -> None:
        # A late confirmation may be of an earlier batch of the same name.
        if self._pending.get(batch.correlation_id) is batch:
            del self._pending[batch.correlation_id]
            batch.on_end(outcome)

    async def _serve(self, connection: Connection) -> None:
        """Exchange batches over one connection."""
        await self._declare(connection)
        publisher = await Publisher.open(connection)
        consumer = await Consumer.start(
            connection, self._reply_queue, REPLIES_PREFETCH, self._on_reply
        )
        connection.on_blocked = self._on_blocked
        self._connection, self._publisher = connection, publisher
        # Where ours was lost, others may have lost theirs, and pause before the next.
        grace_s = LONGEST_PAUSE_S if self.ready.is_set() else 0.0
        watching = asyncio.create_task(
            self._attendance.watch(connection, self._is_waiting, grace_s)
        )
        try:
            self.ready.set()
            self._send_all()
            await self._closing.wait()
            # A broker in alarm does not answer; the queue expires by itself then.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_LIMIT_S):
                    await consumer.delete_queue()
        finally:
            watching.cancel()
            self._connection = self._publisher = None

    async def _declare(self, connection: Connection) -> None:
        """Declare the reply queue, and the workers' queues if we may and no worker did before."""
        if not await self._can_send(connection):
            try:
                await declare(connection, self._topology)
            except ChannelClosedByBroker as closed:
                if closed.reply_code != ACCESS_REFUSED:
                    raise
        try:
            await self._declare_reply_queue(connection)
        except ChannelClosedByBroker as closed:
            if closed.reply_code != NOT_FOUND:
                raise
            self._take_another_reply_queue()
            await self._declare_reply_queue(connection)
        except BrokerSilentError:
            self._take_another_reply_queue()  # for the next connection
            raise

    def _take_another_reply_queue(self) -> None:
        """Leave the reply queue, whose node of a cluster is down.

        RabbitMQ 3.10 says so by "not found"; 4.0 never answers its declaration.
        """
        log.warning("the node of reply queue %s is down; taking another queue", self._reply_queue)
        self._reply_queue = self._new_reply_queue()
        for batch in self._pending.values():
            batch.confirmed = False  # what is answered into the old queue cannot be read

    async def _declare_reply_queue(self, connection: Connection) -> None:
        channel = await connection.open_channel(essential=False)
        await channel.declare_queue(
            self._reply_queue,
            durable=True,
            arguments={"x-queue-type": "classic", "x-expires": REPLY_QUEUE_EXPIRES_MS},
        )
        await channel.close()

    def _new_reply_queue(self) -> str:
        """Make a name. With the user in it, permissions can keep the replies of users apart."""
        return self._topology.replies(f"{self._config.user}.{uuid.uuid4().hex}")

    async def _can_send(self, connection: Connection) -> bool:
        """Whether requests have a place to go to; to ask needs no permission."""
        channel = await connection.open_channel(essential=False)
        try:
            await channel.declare_exchange(self._topology.requests, passive=True)
            await channel.declare_queue(self._topology.frames.name, passive=True)
        except ChannelClosedByBroker:
            return False
        await channel.close()
        return True

    def _is_waiting(self) -> bool:
        return bool(self._pending) and self.blocked is None  # under an alarm nothing is answered

    def _end_impatient(self, absence: str) -> None:
        for batch in list(self._pending.values()):
            if not batch.waits_for_workers:
                self._end(batch, NoWorkersError(absence))

    def _on_blocked(self) -> None:
        """Hold everything back: pika would take it, and keep a copy until the broker reads on."""
        if (reason := self.blocked) is not None:
            log.warning("the broker takes no messages: %s; they are sent later", reason)
        else:
            log.info("the broker takes messages again")
            self._send_all()

    def _send_all(self) -> None:
        for batch in list(self._pending.values()):
            self._send(batch)

    def _send(self, batch: PendingBatch) -> None:
        if self._publisher is None or self._connection is None or self.blocked is not None:
            return  # `_send_all` will
        if batch.confirmed or batch.sent_by is self._publisher:
            return
        batch.sent_by = self._publisher
        message = Message(
            exchange=self._topology.requests,
            routing_key=REQUEST_ROUTING_KEY,
            body=batch.body,
            properties=pika.BasicProperties(
                content_type=ContentType.MSGPACK.value,
                correlation_id=batch.correlation_id,
                reply_to=self._reply_queue,
                # The broker takes no other name than the connection's; workers may ask for it.
                user_id=self._connection.user,
                delivery_mode=pika.DeliveryMode.Persistent.value,
            ),
        )
        confirmation = self._publisher.send(message)
        confirmation.add_done_callback(partial(self._on_confirmation, batch))

    def _on_confirmation(
        self, batch: PendingBatch, confirmation: "asyncio.Future[Confirmation]"
    ) -> None:
        if confirmation.exception() is not None:
            return  # the connection is lost: sent again by the next one
        match confirmation.result():
            case Confirmation.CONFIRMED:
                batch.confirmed = True
            case Confirmation.RETURNED:
                text = (
                    "no queue takes requests: no worker has run here; `fer-worker run` starts some"
                )
                self._end(batch, NoWorkerQueueError(text))
            case Confirmation.REFUSED:
                self._end(batch, QueueFullError("the queue of requests is full"))

    def _on_reply(self, delivery: Delivery) -> None:
        delivery.ack()
        self._attendance.confirm()
        batch = self._pending.get(delivery.correlation_id or "")
        if batch is None:
            self.dropped += 1
            return
        try:
            self._end(batch, decode_result(delivery.body))
        except ValueError:
            self._end(batch, NoAnswerError("the answer is not of the contract"))

    async def _sweep(self) -> None:
        """Give up on answers that are overdue."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            now = time.monotonic()
            for batch in [batch for batch in self._pending.values() if batch.expires < now]:
                self._end(batch, NoAnswerError(self.no_answer(self._answer_timeout_s)))
