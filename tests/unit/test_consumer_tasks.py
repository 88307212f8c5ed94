import asyncio

import pika
import pytest

from fer_client.amqp.consumer import Delivery, in_tasks


def delivery(tag: int) -> Delivery:
    return Delivery("q", "", b"", pika.BasicProperties(), False, tag, channel=None)


def test_a_group_handles_what_comes_before_its_end_and_leaves_the_rest_alone(
    recwarn: pytest.WarningsRecorder,
) -> None:
    handled: list[int] = []

    async def run() -> None:
        async def handle(delivery: Delivery) -> None:
            await go_on.wait()
            handled.append(delivery.tag)

        go_on = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            on_delivery = in_tasks(group, handle)
            on_delivery(delivery(1))
            on_delivery(delivery(2))
            assert not handled
            go_on.set()
        assert handled == [1, 2]  # the group has waited for its tasks
        on_delivery(delivery(3))

    asyncio.run(run())
    assert handled == [1, 2]
    assert not [str(w.message) for w in recwarn if "never awaited" in str(w.message)]
