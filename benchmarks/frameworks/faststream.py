"""FastStream: a subscriber whose return value goes to the request's `reply_to`.

Its documentation has `reply_to` with a queue and a subscriber of one's own for what is to last;
`request` uses RabbitMQ's direct reply-to, which keeps nothing.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count

from anyio.to_thread import current_default_thread_limiter
from faststream import FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitMessage, RabbitQueue
from faststream.rabbit.response import RabbitResponse

from benchmarks.frameworks.contract import IN_FLIGHT, Ask, Reply, Work
from tests.loops import LoopThread


def serve(url: str, queue: str, work: Work) -> None:
    """Implement `Framework`."""
    broker = _broker(url)
    answer = work.load(work.threads)

    def reply(jpeg: bytes) -> RabbitResponse:
        return RabbitResponse(answer(jpeg), persist=True)

    async def limit_threads() -> None:
        current_default_thread_limiter().total_tokens = work.threads

    broker.subscriber(_queue(queue))(reply)
    asyncio.run(FastStream(broker, logger=None, on_startup=[limit_threads]).run())


@contextmanager
def requester(url: str, queue: str, jpeg: bytes) -> Iterator[Ask]:
    """Implement `Framework`."""
    broker, replies = _broker(url), f"{queue}.replies"
    waiting: dict[str, Future[bytes]] = {}
    numbers = map(str, count())

    async def take(reply: bytes, message: RabbitMessage) -> None:
        waiting.pop(str(message.correlation_id)).set_result(reply)

    async def connect() -> None:
        await broker.start()
        await broker.declare_queue(_queue(queue))

    broker.subscriber(replies)(take)
    with LoopThread() as loop:

        def ask() -> Reply:
            number, future = next(numbers), Future[bytes]()
            waiting[number] = future
            loop.start(
                broker.publish(jpeg, queue, correlation_id=number, reply_to=replies, persist=True)
            )
            return future.result

        loop.run(connect())
        try:
            yield ask
        finally:
            loop.run(broker.stop())


def _broker(url: str) -> RabbitBroker:
    return RabbitBroker(
        url,
        default_channel=Channel(prefetch_count=IN_FLIGHT, on_return_raises=True),
        logger=None,
    )


def _queue(name: str) -> RabbitQueue:
    return RabbitQueue(name, queue_type=QueueType.QUORUM, durable=True)
