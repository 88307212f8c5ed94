"""The measure of the broker path: pika's `SelectConnection` and nothing else around it.

Consume, publish a confirmed reply, ack when it is confirmed, as many in flight as the prefetch. It
reads as much from its socket at once as this worker does (decision 0016).
"""

import time
from collections.abc import Sequence
from typing import Final

import pika
from pika.adapters.select_connection import SelectConnection
from pika.adapters.utils.io_services_utils import _AsyncTransportBase
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from fer_client.amqp.connection import READ_BYTES
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig

REPLY: Final = bytes(600)
"""About as long as the result of one frame."""


def serve_bare(broker: BrokerConfig, prefetch: int, messages: int) -> Sequence[float]:
    """Answer so many requests of a namespace; return when each was taken, in seconds."""
    assert _AsyncTransportBase._MAX_RECV_BYTES == READ_BYTES  # since that module is loaded
    taken: list[float] = []
    unconfirmed: dict[int, int] = {}
    """Delivery tags of requests by the tags of their replies."""

    def on_channel(channel: Channel) -> None:
        def on_request(
            _: Channel, method: Basic.Deliver, properties: pika.BasicProperties, __: bytes
        ) -> None:
            taken.append(time.perf_counter())
            unconfirmed[len(taken)] = method.delivery_tag
            reply = pika.BasicProperties(
                content_type="application/json",
                correlation_id=properties.correlation_id,
                delivery_mode=pika.DeliveryMode.Persistent.value,
            )
            channel.basic_publish("", properties.reply_to, REPLY, reply, mandatory=True)

        def on_confirm(frame: Method[Basic.Ack]) -> None:
            tag = frame.method.delivery_tag
            confirmed = [t for t in unconfirmed if t <= tag] if frame.method.multiple else [tag]
            for reply in confirmed:
                channel.basic_ack(unconfirmed.pop(reply))
            if len(taken) == messages and not unconfirmed:
                connection.close()

        channel.confirm_delivery(on_confirm)
        channel.basic_qos(prefetch_count=prefetch)
        channel.basic_consume(Topology(broker.namespace).frames.name, on_request)

    connection = SelectConnection(
        pika.URLParameters(broker.urls[0]),
        on_open_callback=lambda opened: opened.channel(on_open_callback=on_channel),
        on_close_callback=lambda closed, _: closed.ioloop.stop(),
    )
    connection.ioloop.start()
    return taken
