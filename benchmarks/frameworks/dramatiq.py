"""Dramatiq: a pipeline whose second actor is the requester's.

Its result backends are Redis and Memcached; on RabbitMQ alone a result goes on to another actor.
Confirmed, but classic queues: it has no option for their type. JSON holds no bytes, so messages are
encoded by an encoder of one's own, as its documentation says: msgpack.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count
from typing import Any

import msgpack
from dramatiq import Actor, Encoder, Worker, pipeline, set_encoder
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.frameworks.contract import Ask, Reply, Work


class MessagePack(Encoder):
    """Messages as msgpack."""

    def encode(self, data: dict[str, Any]) -> bytes:
        """Implement `Encoder`."""
        return bytes(msgpack.packb(data))

    def decode(self, data: bytes) -> dict[str, Any]:
        """Implement `Encoder`."""
        message: dict[str, Any] = msgpack.unpackb(data)
        return message


def serve(url: str, queue: str, work: Work) -> None:
    """Implement `Framework`."""
    broker = _broker(url)
    _actor(work.load(work.threads), broker, queue)
    Worker(broker, queues={queue}, worker_threads=work.threads).start()
    threading.Event().wait()


@contextmanager
def requester(url: str, queue: str, jpeg: bytes) -> Iterator[Ask]:
    """Implement `Framework`."""
    broker, replies = _broker(url), f"{queue}.replies"
    waiting: dict[int, Future[bytes]] = {}
    numbers = count()
    answer = _actor(lambda jpeg: None, broker, queue)
    take = _actor(lambda number, reply: waiting.pop(number).set_result(reply), broker, replies)

    def ask() -> Reply:
        number, future = next(numbers), Future[bytes]()
        waiting[number] = future
        steps = [answer.message(jpeg), take.message(number)]
        pipeline(steps, broker=broker).run()  # type: ignore[no-untyped-call]
        return future.result

    worker = Worker(broker, queues={replies}, worker_threads=1)
    worker.start()
    try:
        yield ask
    finally:
        worker.stop()
        broker.close()


def _broker(url: str) -> RabbitmqBroker:
    set_encoder(MessagePack())
    return RabbitmqBroker(url=url, confirm_delivery=True)


def _actor(function: Any, broker: RabbitmqBroker, queue: str) -> Any:
    return Actor(
        function, broker=broker, actor_name=queue, queue_name=queue, priority=0, options={}
    )
