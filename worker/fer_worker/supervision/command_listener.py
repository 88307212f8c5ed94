"""Commands of operators over the broker: the supervisors' side.

Commands come through a fanout exchange to an exclusive queue of each supervisor; answers go to the
operator's reply queue under the same correlation id.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable

import pika
from pydantic import ValidationError

from fer_client.amqp.codec import encode_json
from fer_client.amqp.connection import Connection
from fer_client.amqp.consumer import Consumer, Delivery, in_tasks
from fer_client.amqp.publisher import Message, Publisher
from fer_client.amqp.topology import Topology
from fer_schemas import CONTROL_COMMAND, ScaleCommand, ScaleReply, StatusQuery, SupervisorStatus
from fer_worker.logging_setup import log_context

log = logging.getLogger(__name__)

PREFETCH = 16

LONGEST_COMMAND_BYTES = 4096

Command = ScaleCommand | StatusQuery
Reply = ScaleReply | SupervisorStatus


class CommandListener:
    """Hears commands on one connection, and answers them."""

    def __init__(
        self,
        topology: Topology,
        publisher: Publisher,
        execute: Callable[[Command], AsyncIterator[Reply]],
    ) -> None:
        """Store the parts.

        Args:
            topology: where commands come from.
            publisher: of the connection that is listened on.
            execute: carries out a command that may be for another host, and yields its answers.
        """
        self._topology = topology
        self._publisher = publisher
        self._execute = execute

    async def run(self, connection: Connection, on_listening: Callable[[], None]) -> None:
        """Listen until cancelled; `on_listening` is called once commands can be heard."""
        # A new name each time: after a stalled connection the broker may still hold the old one.
        queue = f"{self._topology.control}.{uuid.uuid4().hex}"
        channel = await connection.open_channel()
        await channel.declare_queue(queue, exclusive=True, auto_delete=True)
        await channel.bind_queue(queue, self._topology.control)
        async with asyncio.TaskGroup() as commands:
            await Consumer.start(connection, queue, PREFETCH, in_tasks(commands, self._handle))
            on_listening()
            await connection.wait_closed()

    async def _handle(self, delivery: Delivery) -> None:
        delivery.ack()
        command = self._read(delivery)
        if command is None:
            return
        async for reply in self._execute(command):
            await self._answer(delivery, reply)

    def _read(self, delivery: Delivery) -> Command | None:
        """Read a command; None, with a line in the log, where it is none."""
        known = log_context(delivery.correlation_id)
        if delivery.exchange != self._topology.control:
            # An account that may write to the default exchange may write to every queue.
            log.warning(
                "ignored a control message that did not come through the control exchange",
                extra=known,
            )
            return None
        if len(delivery.body) > LONGEST_COMMAND_BYTES:
            log.warning("ignored a control message of %d bytes", len(delivery.body), extra=known)
            return None
        try:
            return CONTROL_COMMAND.validate_json(delivery.body)
        except ValidationError as error:
            log.warning(
                "ignored a control message: %s",
                error.errors(include_input=False)[0]["msg"],
                extra=known,
            )
            return None

    async def _answer(self, asked: Delivery, reply: Reply) -> None:
        reply_to = asked.properties.reply_to
        if not isinstance(reply_to, str) or self._topology.is_workers_own(reply_to):
            return  # none, or one that is not UTF-8
        message = Message(
            routing_key=reply_to,
            body=encode_json(reply),
            properties=pika.BasicProperties(
                content_type="application/json", correlation_id=asked.properties.correlation_id
            ),
        )
        await self._publisher.publish(message)  # an operator who has left needs none
