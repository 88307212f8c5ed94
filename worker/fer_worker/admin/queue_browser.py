"""Read a queue of ours and take from it only what is acked: the connection of a command.

A quorum queue keeps what was returned to it in a line of its own, which is served first, and puts
what comes back at the end of that line. So a look takes hold of the whole queue and gives
all of it back at once, by closing the channel; then the order is what it was. (`basic.get`, and on
3.10 a nack of many messages at once, return them in any order.)
"""

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self, TypeVar

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker
from pika.spec import Basic
from pika.spec import Queue as QueueMethod

from fer_client.amqp.blocking import close_quietly, connect
from fer_client.amqp.consumer import Delivery, delivery_of
from fer_client.amqp.failures import translate
from fer_client.amqp.topology import Queue, Topology
from fer_client.config import BrokerConfig
from fer_client.errors import FerWorkerError

Summary = TypeVar("Summary")

MOST_HELD = 65_535
"""The largest prefetch there is."""

AT_A_TIME = 16
"""Messages that are taken together: few enough to hold in memory, 16 MiB each at most."""

SILENCE_S = 30.0
"""How long the next message may take: it has up to 16 MiB, and the line may be slow."""

POLL_S = 0.05

NOT_FOUND = 404


class _Consumer(NamedTuple):
    channel: BlockingChannel
    tag: str


class QueueBrowser:
    """Reads one queue over a connection of its own. A context manager.

    Whatever was read and not acked is in the queue again once the connection is closed, however
    that comes about. One reader at a time: others would see only what this one does not hold.
    """

    def __init__(
        self,
        broker: BrokerConfig,
        queue: Queue,
        wait_s: float = 10.0,
        hold: int = MOST_HELD,
    ) -> None:
        """Connect.

        Args:
            broker: where the queue is.
            queue: the one to read.
            wait_s: how long a broker that is not up yet is waited for, in seconds; and then others
                who read the queue.
            hold: messages that one consumer holds; of a longer queue several hold a part each.

        Raises:
            BrokerRefusedError: the broker refuses us.
            BrokerUnavailableError: no broker within the wait.
        """
        self.queue = queue.name
        self.topology = Topology(broker.namespace)
        self.connection = connect(broker, "operator", wait_s)
        try:
            self._asking = self.connection.channel()
        except AMQPError as error:
            close_quietly(self.connection, error)
            raise _translate(error) from error
        self._wait_s = wait_s
        self._hold = hold
        self._inbox: deque[Delivery] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Close, and turn what pika raised into an error of ours."""
        try:
            close_quietly(self.connection, error)
        except AMQPError as closing:
            error = error or closing
        if isinstance(error, AMQPError):
            raise _translate(error) from error

    def count(self) -> int:
        """How many messages wait, without those that somebody holds."""
        return int(self._ask().message_count)

    def look(self) -> Iterator[Delivery]:
        """Take hold of every message that waits now, oldest first.

        To be read to its end, so that all of it goes back in its order. What comes meanwhile is
        left alone.

        Raises:
            FerWorkerError: others read the queue, or not all of it came.
        """
        left, _ = self._begin(self._hold)
        while left:
            share = min(left, self._hold)
            for _ in range(share):
                yield self._receive()
            left -= share
            if left:
                self._consume(self.connection.channel(), min(left, self._hold))

    def survey(
        self, limit: int, summarize: Callable[[Delivery], Summary]
    ) -> tuple[list[Summary], int]:
        """Summarize the oldest `limit` messages, and say how many there are in all."""
        summaries: list[Summary] = []
        total = 0
        for delivery in self.look():
            total += 1
            if total <= limit:
                summaries.append(summarize(delivery))
        return summaries, total

    def take(self, limit: int | None = None) -> Iterator[list[Delivery]]:
        """Take the messages that wait now, oldest first, a few at a time.

        Those of one group are to be acked before the next one is asked for. Messages that come
        meanwhile are left alone, so this ends.

        Raises:
            FerWorkerError: others read the queue, or not all of it came.
        """
        left, consumer = self._begin(AT_A_TIME, limit)
        while left and consumer is not None:
            share = min(left, AT_A_TIME)
            group = [self._receive() for _ in range(share)]
            # Cancelled first, or each ack would bring a message that then goes back out of turn.
            # The next one begins at once: who reads until the end is seen to do so by others.
            consumer.channel.basic_cancel(consumer.tag)
            left -= share
            if left:
                consumer = self._consume(consumer.channel, min(left, AT_A_TIME))
            yield group

    def _begin(self, prefetch: int, limit: int | None = None) -> tuple[int, _Consumer | None]:
        """Consume as the only one; return how many messages there are to be read, up to `limit`.

        Nobody consumes where there are none.
        """
        give_up = time.monotonic() + self._wait_s
        while True:
            waiting = self._wait_for_turn(give_up)
            left = waiting if limit is None else min(waiting, limit)
            if not left:
                return 0, None
            consumer = self._consume(self.connection.channel(), min(left, prefetch))
            if self._ask().consumer_count <= 1:
                return left, consumer
            # Another one began in the same moment, and sees us as we see him.
            consumer.channel.close()
            self._inbox.clear()
            self.connection.sleep(random.uniform(POLL_S, 10 * POLL_S))

    def _consume(self, channel: BlockingChannel, prefetch: int) -> _Consumer:
        channel.basic_qos(prefetch_count=prefetch)
        return _Consumer(channel, channel.basic_consume(self.queue, self._on_message))

    def _on_message(
        self,
        channel: BlockingChannel,
        method: Basic.Deliver,
        properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        self._inbox.append(delivery_of(self.queue, channel, method, properties, body))

    def _receive(self) -> Delivery:
        """Return the next message that the broker sends."""
        give_up = time.monotonic() + SILENCE_S
        while not self._inbox:
            if time.monotonic() > give_up:
                raise FerWorkerError(f"others took of {self.queue} meanwhile; try again")
            self.connection.process_data_events(POLL_S)
        return self._inbox.popleft()

    def _wait_for_turn(self, give_up: float) -> int:
        """Wait until nobody reads the queue, and return how many messages are in it.

        The broker counts a reader until everything he held is in the queue again.
        """
        while (found := self._ask()).consumer_count:
            if time.monotonic() > give_up:
                raise FerWorkerError(f"somebody else is reading {self.queue}; try again later")
            self.connection.sleep(POLL_S)
        return int(found.message_count)

    def _ask(self) -> QueueMethod.DeclareOk:
        return self._asking.queue_declare(self.queue, passive=True).method


def _translate(error: AMQPError) -> FerWorkerError:
    if isinstance(error, ChannelClosedByBroker) and error.reply_code == NOT_FOUND:
        return FerWorkerError(f"no worker has run here yet: {error.reply_text}")
    return translate(error)
