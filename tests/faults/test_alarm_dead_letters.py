"""Dead letters and unread results while the broker is low on memory and takes no messages."""

import pytest

from fer_client.config import BrokerConfig
from fer_worker.admin.dead_letters import DeadLetters
from fer_worker.limits import Limits
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.engines import SizeEngine, plain_jpeg
from tests.faults.test_alarm import low_on_memory
from tests.serving import Sender, fer_worker, request, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.broker


def test_requeue_says_that_the_broker_takes_no_messages_and_loses_none(
    node: EmbeddedBroker, own_broker: BrokerConfig
) -> None:
    with Sender(own_broker.urls[0], own_broker.namespace) as sender:
        with serving(own_broker, SizeEngine(), limits=Limits(max_bytes=100)):
            sent = {sender.send(request(plain_jpeg(60))) for _ in range(5)}
            refused = {str(sender.take()[0].correlation_id) for _ in sent}
        assert refused == sent
        with DeadLetters(own_broker) as letters:
            oldest = letters.oldest(1)[0][0].id
        with low_on_memory(node):
            for which in (oldest, "--all"):
                done = fer_worker("dead", "requeue", which, broker=own_broker)
                assert (done.returncode, done.stdout) == (3, "0 requeued\n")
                assert done.stderr == (
                    "fer-worker: the broker takes no messages: it is low on memory or disk; "
                    "try again later\n"
                )
        done = fer_worker("dead", "requeue", "--all", broker=own_broker)
        assert (done.returncode, done.stdout) == (0, "5 requeued\n")
        with serving(own_broker, SizeEngine()):
            wait_until(lambda: sender.depth(sender.reply_to) >= 5, what="all are answered")
        answered = {
            str(sender.take()[0].correlation_id) for _ in range(sender.depth(sender.reply_to))
        }
        assert answered == sent
        assert sender.depth("fer.frames.dead") == 0


def test_what_only_reads_or_removes_works_all_the_same(
    node: EmbeddedBroker, own_broker: BrokerConfig
) -> None:
    with Sender(own_broker.urls[0], own_broker.namespace) as sender:
        with serving(own_broker, SizeEngine()):
            sender.send(b"\xc1")
            sender.take()
            sender.send(request(plain_jpeg(60)), reply_to=None)
            wait_until(lambda: sender.depth("fer.results") == 1, what="the result is kept")
        with DeadLetters(own_broker) as letters:
            (letter,) = letters.oldest(10)[0]
        with low_on_memory(node):
            assert letter.id in fer_worker("dead", "list", broker=own_broker).stdout
            assert (
                "malformed_body" in fer_worker("dead", "show", letter.id, broker=own_broker).stdout
            )
            taken = fer_worker("results", "take", broker=own_broker)
            assert (taken.returncode, taken.stderr) == (0, "1 taken\n")
            purged = fer_worker("dead", "purge", "--all", "--yes", broker=own_broker)
            assert (purged.returncode, purged.stdout) == (0, "1 removed\n")
        assert sender.depth("fer.frames.dead") == sender.depth("fer.results") == 0
