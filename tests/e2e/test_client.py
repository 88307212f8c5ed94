"""What a controller may expect of the client library."""

import asyncio
import gc
import threading
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue

import pika
import pydantic
import pytest

from fer_client import AsyncFerClient, FerClient
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from fer_client.errors import (
    BatchTooLargeError,
    BrokerRefusedError,
    BrokerUnavailableError,
    NoAnswerError,
    NoWorkerQueueError,
    QueueFullError,
)
from fer_schemas import BatchResult, Frame, Status
from tests.engines import GatedEngine, SizeEngine, plain_jpeg
from tests.serving import Sender, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.broker


def test_future_brings_the_result(broker: BrokerConfig) -> None:
    with serving(broker, SizeEngine()), FerClient(broker) as client:
        frame = Frame(jpeg=plain_jpeg(50), id="f-1", captured_at=datetime.now(UTC))
        result = client.submit([frame, plain_jpeg(60)], camera_id="door-1").result(timeout=20)
    assert result.faces_areas == (2000, 2400)
    assert [frame.id for frame in result.frames] == ["f-1", None]
    assert result.camera_id == "door-1"
    assert result.timings_ms is not None
    assert result.timings_ms.queued is not None


def test_analyze_blocks_until_the_result(broker: BrokerConfig) -> None:
    with serving(broker, SizeEngine()), FerClient(broker) as client:
        assert client.analyze([plain_jpeg(50)], faces="all").status is Status.SUCCESS


def test_analyze_gives_up_after_its_timeout(broker: BrokerConfig) -> None:
    with FerClient(broker) as client, pytest.raises(NoAnswerError):
        client.analyze([plain_jpeg(50)], timeout_s=0.2)


def test_threads_share_a_client_and_get_their_own_results(broker: BrokerConfig) -> None:
    widths = range(30, 230)
    futures: dict[int, Future[BatchResult]] = {}

    def submit(share: range) -> None:
        for width in share:
            futures[width] = client.submit([plain_jpeg(width)])

    with serving(broker, SizeEngine(), threads=4), FerClient(broker) as client:
        threads = [threading.Thread(target=submit, args=(widths[n::8],)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        areas = {width: future.result(30).faces_areas for width, future in futures.items()}
    assert areas == {width: (width * 40,) for width in widths}


def test_expired_batch_is_an_answer_too(broker: BrokerConfig) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    with serving(broker, SizeEngine()), FerClient(broker) as client:
        result = client.submit([plain_jpeg(50)], deadline=past).result(20)
    assert result.status is Status.EXPIRED


def test_batch_over_the_message_limit_is_refused_before_it_is_sent(broker: BrokerConfig) -> None:
    with FerClient(broker) as client:
        with pytest.raises(BatchTooLargeError):
            client.submit([bytes(6 * 1024 * 1024)] * 3)
        with Sender(broker.urls[0], broker.namespace) as sender:
            assert sender.depth(f"{broker.namespace}.frames") == 0


@pytest.mark.parametrize("count", [0, 65])
def test_batch_of_a_wrong_number_of_frames_is_refused_before_it_is_sent(
    broker: BrokerConfig, count: int
) -> None:
    with FerClient(broker) as client, pytest.raises(pydantic.ValidationError):
        client.submit([b"x"] * count)


def test_second_copy_of_a_reply_is_dropped(broker: BrokerConfig) -> None:
    with FerClient(broker) as client, Sender(broker.urls[0], broker.namespace) as sender:
        future = client.submit([plain_jpeg(50)])
        sent, body = sender.take(f"{broker.namespace}.frames")
        # The request is analysed twice, as after a lost connection.
        for _ in range(2):
            sender.channel.basic_publish(f"{broker.namespace}.requests", "frames", body, sent)
        with serving(broker, SizeEngine()):
            assert future.result(20).status is Status.SUCCESS
            wait_until(lambda: client.dropped == 1, what="the second copy is dropped")


def test_full_queue_ends_the_future(broker: BrokerConfig) -> None:
    topology = Topology(broker.namespace)
    with Sender(broker.urls[0], broker.namespace) as sender:
        full = {"x-max-length": 1, "x-overflow": "reject-publish"}
        sender.channel.queue_declare(topology.frames.name, durable=True, arguments=full)
        with FerClient(broker) as client:
            client.submit([plain_jpeg(50)])
            wait_until(lambda: sender.depth(topology.frames.name) == 1)
            with pytest.raises(QueueFullError):
                client.submit([plain_jpeg(50)]).result(20)


def test_request_that_no_queue_takes_ends_the_future(broker: BrokerConfig) -> None:
    topology = Topology(broker.namespace)
    with FerClient(broker) as client:
        with Sender(broker.urls[0], broker.namespace) as sender:
            sender.channel.queue_unbind(topology.frames.name, topology.requests, "frames")
        with pytest.raises(NoWorkerQueueError):
            client.submit([plain_jpeg(50)]).result(20)


def test_cancelled_batch_is_kept_no_longer(broker: BrokerConfig) -> None:
    engine = GatedEngine()
    with serving(broker, engine), FerClient(broker) as client:
        future = client.submit([plain_jpeg(50)])
        assert engine.entered.wait(20)
        assert future.cancel()
        engine.gate.set()
        wait_until(lambda: client.dropped == 1, what="its answer is dropped")


def test_overdue_answer_ends_the_future(broker: BrokerConfig) -> None:
    with FerClient(broker, answer_timeout_s=0.1) as client, pytest.raises(NoAnswerError):
        client.submit([plain_jpeg(50)]).result(20)


def test_closing_ends_every_future_and_deletes_the_reply_queue(broker: BrokerConfig) -> None:
    with FerClient(broker) as client, Sender(broker.urls[0], broker.namespace) as sender:
        future = client.submit([plain_jpeg(50)])
        sent, _ = sender.take(f"{broker.namespace}.frames")
    with pytest.raises(BrokerUnavailableError):
        future.result(0)
    with pytest.raises(BrokerUnavailableError):
        client.submit([plain_jpeg(50)])
    with (
        Sender(broker.urls[0], broker.namespace) as sender,
        pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"),
    ):
        sender.depth(sent.reply_to)


def test_broker_that_refuses_is_said_at_once(broker: BrokerConfig) -> None:
    wrong = broker.urls[0].replace(":guest@", ":wrong@")
    with pytest.raises(BrokerRefusedError):
        FerClient(wrong).connect()


def test_broker_that_is_away_is_said_after_the_wait() -> None:
    with pytest.raises(BrokerUnavailableError):
        FerClient("amqp://127.0.0.1:1/", connect_timeout_s=0.3).connect()


def test_closed_client_leaves_no_thread(broker: BrokerConfig) -> None:
    def its_threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if "fer-client" in thread.name]

    with FerClient(broker):
        assert its_threads()
    gc.collect()
    assert not its_threads()


def test_started_client_sends_what_was_submitted_before_its_broker_was_there(
    broker: BrokerConfig,
) -> None:
    client = FerClient(broker)
    client.start()
    try:
        future = client.submit([plain_jpeg(50)], correlation_id="c-1")
        with pytest.raises(ValueError, match="under way"):
            client.submit([plain_jpeg(50)], correlation_id="c-1")
        with serving(broker, SizeEngine()):
            assert future.result(20).correlation_id == "c-1"
        assert client.connected
        assert client.refusal is None
    finally:
        client.close()
    assert not client.connected


def test_started_client_says_that_it_is_refused(broker: BrokerConfig) -> None:
    client = FerClient(broker.urls[0].replace(":guest@", ":wrong@"))
    client.start()
    try:
        assert isinstance(wait_until(lambda: client.refusal), BrokerRefusedError)
        assert not client.connected
    finally:
        client.close()


def test_a_callback_may_call_the_client(broker: BrokerConfig) -> None:
    answers: SimpleQueue[BatchResult] = SimpleQueue()
    with serving(broker, SizeEngine()), FerClient(broker) as client:
        first = client.submit([plain_jpeg(50)])
        first.add_done_callback(lambda _: answers.put(client.analyze([plain_jpeg(60)])))
        assert answers.get(timeout=20).faces_areas == (2400,)


def test_a_callback_may_close_the_client(broker: BrokerConfig) -> None:
    closed = threading.Event()

    def close(_: object) -> None:
        client.close()
        closed.set()

    with serving(broker, SizeEngine()):
        client = FerClient(broker)
        client.connect()
        client.submit([plain_jpeg(50)]).add_done_callback(close)
        assert closed.wait(20)
    assert not client.connected


def test_an_asyncio_program_awaits_its_results(broker: BrokerConfig) -> None:
    async def run() -> list[BatchResult]:
        async with AsyncFerClient(broker) as client:
            futures = [client.submit([plain_jpeg(width)]) for width in (50, 60)]
            with pytest.raises(NoAnswerError):
                await client.analyze([plain_jpeg(50)], timeout_s=0)
            return await asyncio.gather(*futures)

    with serving(broker, SizeEngine()):
        results = asyncio.run(run())
    assert [result.faces_areas for result in results] == [(2000,), (2400,)]


def test_a_closed_asyncio_client_ends_what_it_has(broker: BrokerConfig) -> None:
    async def run() -> None:
        async with AsyncFerClient(broker) as client:
            future = client.submit([plain_jpeg(50)])
        with pytest.raises(BrokerUnavailableError):
            await future
        with pytest.raises(BrokerUnavailableError):
            client.submit([plain_jpeg(50)])

    asyncio.run(run())


def test_an_asyncio_client_says_that_it_is_refused(broker: BrokerConfig) -> None:
    wrong = broker.urls[0].replace(":guest@", ":wrong@")
    with pytest.raises(BrokerRefusedError):
        asyncio.run(AsyncFerClient(wrong).connect())
