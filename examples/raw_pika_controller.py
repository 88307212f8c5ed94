"""A controller with nothing but pika, and msgpack for one of the three encodings.

It knows only what `docs/protocol.md` says and imports nothing of this project: copy it into an
environment of your own.

    pip install pika msgpack
    python raw_pika_controller.py [amqp://guest:guest@127.0.0.1:5672/]

The broker is the argument, else FER_WORKER_AMQP_URL, else the one on this machine.
FER_WORKER_NAMESPACE says under which namespace the workers run. Exit codes: 0 every request has
its result, 1 some have not, 3 the broker cannot be used.
"""

import base64
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import pika
from pika.exceptions import (
    AMQPChannelError,
    AMQPConnectionError,
    NackError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    UnroutableError,
)

FRAMES = Path(__file__).parent / "frames"
NAMESPACE = os.environ.get("FER_WORKER_NAMESPACE", "fer")
REQUESTS = f"{NAMESPACE}.requests"
REPLY_QUEUE_EXPIRES_MS = 60 * 60 * 1000
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Sender:
    """Who we are to the broker. With the user's name in it, others may be kept from the queue."""

    user: str
    reply_queue: str


@dataclass(frozen=True)
class Request:
    """One message to the workers."""

    content_type: str
    body: bytes
    correlation_id: str
    headers: dict[str, str] | None = None


def requests() -> Iterator[Request]:
    """Make one request in each of the three encodings."""
    jpegs = {name: (FRAMES / f"{name}.jpg").read_bytes() for name in ("burst-4", "no_face")}
    batch: dict[str, Any] = {
        "version": 1,
        "camera_id": "door-1",
        "sent_at": datetime.now(UTC).isoformat(),
    }
    as_bytes = [{"id": name, "jpeg": jpeg} for name, jpeg in jpegs.items()]
    as_text = [
        {"id": name, "jpeg": base64.b64encode(jpeg).decode()} for name, jpeg in jpegs.items()
    ]
    # Compact: the one to use.
    body = msgpack.packb({**batch, "frames": as_bytes})
    yield Request("application/msgpack", body, uuid.uuid4().hex)
    # The same in text, a third larger.
    body = json.dumps({**batch, "frames": as_text}).encode()
    yield Request("application/json", body, uuid.uuid4().hex)
    # One frame and nothing around it; what else there is to say goes into headers.
    headers = {"camera_id": "door-1", "id": "burst-4"}
    yield Request("image/jpeg", jpegs["burst-4"], uuid.uuid4().hex, headers)


def publish(channel: Any, sender: Sender, request: Request) -> None:
    """Hand one request to the broker; on return it is safe there.

    Raises:
        NackError: the queue of requests is full.
        UnroutableError: no queue takes requests.
    """
    if len(request.body) > MAX_MESSAGE_BYTES:  # the broker would close the channel
        raise ValueError(f"{len(request.body)} bytes are too many for one message")
    properties = pika.BasicProperties(
        content_type=request.content_type,
        correlation_id=request.correlation_id,
        reply_to=sender.reply_queue,
        user_id=sender.user,  # the broker takes no other; some workers ask for it
        delivery_mode=pika.DeliveryMode.Persistent.value,
        expiration=str(round(PATIENCE_S * 1000)),  # later nobody would read the result
        headers=request.headers,
    )
    # In confirm mode pika waits for the broker's word and raises if it is not a plain yes.
    channel.basic_publish(REQUESTS, "frames", request.body, properties, mandatory=True)


def show(request: Request, result: dict[str, Any]) -> None:
    """Print a result. A controller keeps what it knows and ignores fields it does not."""
    print(f"{request.content_type}: {result['status']} by {result['worker']}")
    for index, (seen, area) in enumerate(
        zip(result["emotions"], result["faces_areas"], strict=True)
    ):
        name = result["frames"][index]["id"]
        print(f"  {name}: {seen['emotion']} {seen['confidence']:.2f}, {area} pixels")
    for error in result["errors"]:
        print(f"  frame {error['frame']} failed: {error['code']}: {error['message']}")


def converse(
    channel: Any,
    sender: Sender,
    unsent: list[Request],
    waiting: dict[str, Request],
    give_up: float,
) -> None:
    """Send what is unsent, then read results until none is awaited or time is up."""
    # Durable and not exclusive: it outlives a lost connection, and so do the results in it.
    channel.queue_declare(
        sender.reply_queue, durable=True, arguments={"x-expires": REPLY_QUEUE_EXPIRES_MS}
    )
    channel.confirm_delivery()
    while unsent:
        publish(channel, sender, unsent[0])
        request = unsent.pop(0)
        waiting[request.correlation_id] = request
    for method, properties, body in channel.consume(sender.reply_queue, inactivity_timeout=0.5):
        if method is not None:
            # The first result of a request counts. Second copies are possible and are dropped.
            answered = waiting.pop(properties.correlation_id, None)
            if answered is not None:
                show(answered, json.loads(body))
            channel.basic_ack(method.delivery_tag)
        if not waiting:
            channel.cancel()
            channel.queue_delete(sender.reply_queue)
            return
        if time.monotonic() > give_up:
            return


def main(url: str) -> int:
    """Send the requests and print the results, over as many connections as it takes."""
    parameters = pika.URLParameters(url)
    parameters.heartbeat = 15
    parameters.blocked_connection_timeout = 10  # seconds that a broker short of memory may stall
    user = parameters.credentials.username
    sender = Sender(user, f"{NAMESPACE}.replies.{user}.{uuid.uuid4().hex}")
    unsent, waiting = list(requests()), dict[str, Request]()
    give_up = time.monotonic() + PATIENCE_S
    while (unsent or waiting) and time.monotonic() < give_up:
        try:
            with pika.BlockingConnection(parameters) as connection:
                converse(connection.channel(), sender, unsent, waiting, give_up)
        except (ProbableAuthenticationError, ProbableAccessDeniedError) as error:
            print(f"the broker refuses us: {error!r}", file=sys.stderr)
            return 3
        except UnroutableError:
            print("no queue takes requests: has a worker ever run here?", file=sys.stderr)
            return 3
        except NackError:
            print("the queue of requests is full; trying again", file=sys.stderr)
            time.sleep(1)
        except AMQPChannelError as error:  # 404: no exchange yet; 403: no permission
            print(f"the broker closed the channel: {error}", file=sys.stderr)
            return 3
        except (AMQPConnectionError, OSError) as error:
            # What it had confirmed will be answered; what it had not is sent again.
            print(f"no connection ({error!r}); trying again", file=sys.stderr)
            time.sleep(1)
    for request in [*unsent, *waiting.values()]:
        print(f"{request.content_type}: no result in time", file=sys.stderr)
    return 1 if unsent or waiting else 0


if __name__ == "__main__":
    default = os.environ.get("FER_WORKER_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else default))
