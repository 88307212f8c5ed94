"""Reading a queue without consuming it."""

import threading
from contextlib import suppress

import pytest

from fer_client.amqp.topology import Queue, Topology
from fer_client.config import BrokerConfig
from fer_client.errors import FerWorkerError
from fer_worker.admin.queue_browser import AT_A_TIME, QueueBrowser
from tests.serving import Sender
from tests.waiting import wait_until

pytestmark = pytest.mark.broker


@pytest.fixture(params=["dead", "results"])
def queue(request: pytest.FixtureRequest, broker: BrokerConfig) -> Queue:
    found = getattr(Topology(broker.namespace), request.param)
    assert isinstance(found, Queue)
    return found


def fill(sender: Sender, queue: Queue, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        sender.channel.basic_publish("", queue.name, str(number).encode())


def looked_at(broker: BrokerConfig, queue: Queue) -> list[int]:
    with QueueBrowser(broker, queue) as browser:
        return [int(delivery.body) for delivery in browser.look()]


def test_looking_changes_neither_the_messages_nor_their_order(
    broker: BrokerConfig, sender: Sender, queue: Queue
) -> None:
    fill(sender, queue, 300)
    for _ in range(5):
        assert looked_at(broker, queue) == list(range(300))


def test_queue_of_more_messages_than_one_consumer_may_hold_is_read_whole(
    broker: BrokerConfig, sender: Sender, queue: Queue
) -> None:
    fill(sender, queue, 10)
    for _ in range(3):
        with QueueBrowser(broker, queue, hold=3) as browser:
            assert [int(delivery.body) for delivery in browser.look()] == list(range(10))


@pytest.mark.parametrize("limit", [1, AT_A_TIME, 2 * AT_A_TIME + 3])
def test_taking_the_oldest_leaves_the_others_in_their_order(
    broker: BrokerConfig, sender: Sender, queue: Queue, limit: int
) -> None:
    fill(sender, queue, 60)
    looked_at(broker, queue)
    taken = []
    with QueueBrowser(broker, queue) as browser:
        for group in browser.take(limit):
            assert len(group) <= AT_A_TIME
            for delivery in group:
                taken.append(int(delivery.body))
                delivery.ack()
    assert taken == list(range(limit))
    assert looked_at(broker, queue) == list(range(limit, 60))


def test_taking_ends_though_messages_keep_coming(
    broker: BrokerConfig, sender: Sender, queue: Queue
) -> None:
    fill(sender, queue, 20)
    taken = []
    with QueueBrowser(broker, queue) as browser:
        for group in browser.take():
            for delivery in group:
                taken.append(int(delivery.body))
                fill(sender, queue, 1, first=100 + len(taken))
                delivery.ack()
    assert taken == list(range(20))
    assert looked_at(broker, queue) == list(range(101, 121))


def test_what_was_not_acked_is_back_after_a_fault(
    broker: BrokerConfig, sender: Sender, queue: Queue
) -> None:
    fill(sender, queue, 40)
    with suppress(ZeroDivisionError), QueueBrowser(broker, queue) as browser:
        for number, delivery in enumerate(browser.look()):
            assert 1 / (20 - number)
            delivery.ack()
    assert sorted(looked_at(broker, queue)) == list(range(20, 40))


def test_reader_waits_for_the_one_before(
    broker: BrokerConfig, sender: Sender, queue: Queue
) -> None:
    fill(sender, queue, 30)
    seen: list[list[int]] = []
    second = threading.Thread(target=lambda: seen.append(looked_at(broker, queue)))
    with QueueBrowser(broker, queue) as browser:
        for number, delivery in enumerate(browser.look()):
            if number == 0:
                second.start()
            if number < 10:
                delivery.ack()
        assert not seen
    second.join(20)
    assert seen == [list(range(10, 30))]


def test_queue_that_others_go_on_reading_is_left_to_them(
    broker: BrokerConfig, sender: Sender, queue: Queue
) -> None:
    got: list[bytes] = []
    sender.channel.basic_consume(queue.name, lambda *delivery: got.append(delivery[3]))
    with (
        pytest.raises(FerWorkerError, match="somebody else is reading"),
        QueueBrowser(broker, queue, wait_s=0.2) as browser,
    ):
        next(browser.look())
    fill(sender, queue, 1)
    wait_until(lambda: sender.connection.process_data_events(0.1) or got)
