"""What both clients promise beyond an answer: every batch ends, and closing does."""

import asyncio
import logging
import threading
import time
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from fer_client import (
    AsyncFerClient,
    BatchResult,
    BrokerUnavailableError,
    FerClient,
    FerWorkerError,
    NoWorkerQueueError,
    TlsFiles,
)
from fer_client.amqp.connection import CLOSE_LIMIT_S
from fer_client.config import BrokerConfig
from tests.engines import SizeEngine, plain_jpeg
from tests.forwarder import Forwarder
from tests.serving import Sender, serving
from tests.waiting import wait_until

AWAY = "amqp://127.0.0.1:1/"

JPEG = plain_jpeg(50)

UNWRITABLE = pytest.mark.parametrize(
    ("name", "reason"),
    [("x" * 256, "a correlation id may have 255 bytes"), ("\ud800", "surrogates not allowed")],
    ids=["256 characters", "a lone surrogate"],
)
"""Correlation ids that no message can have."""


def test_an_unusable_tls_file_is_said_at_once(tmp_path: Path) -> None:
    tls = TlsFiles(ca=tmp_path / "none.pem")
    for client in (FerClient, AsyncFerClient):
        with pytest.raises(FerWorkerError, match=r"cannot read .*none\.pem"):
            client("amqps://127.0.0.1/", tls=tls)


def test_a_client_that_is_not_connected_says_so_at_once() -> None:
    client = FerClient(AWAY)
    with pytest.raises(BrokerUnavailableError, match="not connected: use `with`"):
        client.submit([JPEG])
    client.close()
    with pytest.raises(BrokerUnavailableError, match="was closed"):
        client.submit([JPEG])

    async def run() -> None:
        with pytest.raises(BrokerUnavailableError, match="not connected: use `with`"):
            AsyncFerClient(AWAY).submit([JPEG])

    asyncio.run(run())


@UNWRITABLE
def test_a_correlation_id_that_cannot_be_written_is_refused(name: str, reason: str) -> None:
    client = FerClient(AWAY)
    client.start()
    with pytest.raises(ValueError, match=reason):
        client.submit([JPEG], correlation_id=name)
    future = client.submit([JPEG], correlation_id="x" * 255)
    client.close()
    with pytest.raises(BrokerUnavailableError):
        future.result(0)


@UNWRITABLE
@pytest.mark.broker
def test_a_correlation_id_that_cannot_be_written_holds_up_no_later_batch(
    broker: BrokerConfig, name: str, reason: str
) -> None:
    async def run() -> BatchResult:
        client = AsyncFerClient(broker)
        client.start()
        with pytest.raises(ValueError, match=reason):
            client.submit([JPEG], correlation_id=name)
        future = client.submit([JPEG], correlation_id="x" * 255)
        try:
            async with asyncio.timeout(20):
                return await future
        finally:
            await client.close()

    with serving(broker, SizeEngine()):
        assert asyncio.run(run()).correlation_id == "x" * 255


def test_every_batch_ends_though_threads_submit_while_it_closes() -> None:
    client = FerClient(AWAY)
    client.start()
    futures: list[Future[BatchResult]] = []

    def submit_until_closed() -> None:
        try:
            while True:
                futures.append(client.submit([JPEG]))
        except BrokerUnavailableError:
            pass

    threads = [threading.Thread(target=submit_until_closed) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(futures) > 100, what="they submit")
    client.close()
    for thread in threads:
        thread.join()
    assert not wait(futures, timeout=5).not_done


def test_a_callback_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: object) -> None:
        raise ValueError("of the program")

    client = FerClient(AWAY)
    client.start()
    client.submit([JPEG]).add_done_callback(fail)
    client.close()
    assert "a callback of a batch failed" in caplog.messages


def test_connecting_that_is_cancelled_leaves_nothing_behind() -> None:
    async def cancel() -> None:
        client = AsyncFerClient(AWAY)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.connect()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(cancel())


@pytest.mark.broker
def test_closing_towards_a_silent_broker_ends(broker: BrokerConfig, line: Forwarder) -> None:
    with FerClient(line.through(broker)) as client:
        future = client.submit([JPEG])
        line.stall()
        began = time.monotonic()
    assert time.monotonic() - began < 2 * CLOSE_LIMIT_S + 1
    with pytest.raises(BrokerUnavailableError):
        future.result(0)
    line.resume()


@pytest.mark.broker
def test_an_asyncio_client_closes_towards_a_silent_broker(
    broker: BrokerConfig, line: Forwarder
) -> None:
    async def run() -> float:
        async with AsyncFerClient(line.through(broker)):
            line.stall()
            began = time.monotonic()
        return time.monotonic() - began

    assert asyncio.run(run()) < 2 * CLOSE_LIMIT_S + 1
    line.resume()


@pytest.mark.broker
def test_cancelling_while_answers_come_harms_no_other_batch(
    broker: BrokerConfig, line: Forwarder
) -> None:
    with serving(broker, SizeEngine(), prefetch=32), FerClient(line.through(broker)) as client:
        for _ in range(10):
            futures = [client.submit([JPEG]) for _ in range(40)]
            for future in futures[::2]:
                wait([future], timeout=0.001)
                future.cancel()
            assert all(future.result(20).status == "success" for future in futures[1::2])
        assert line.accepted == 1


@pytest.mark.broker
def test_a_batch_ends_though_a_cancelled_one_of_its_name_is_returned_first(
    broker: BrokerConfig, line: Forwarder, sender: Sender
) -> None:
    sender.channel.queue_unbind(
        f"{broker.namespace}.frames", f"{broker.namespace}.requests", "frames"
    )

    async def run() -> None:
        async with AsyncFerClient(line.through(broker)) as client:
            line.stall()
            client.submit([JPEG], correlation_id="again").cancel()
            await asyncio.sleep(0)  # the name is free in the loop's next turn
            future = client.submit([JPEG], correlation_id="again")
            line.resume()
            with pytest.raises(NoWorkerQueueError):
                async with asyncio.timeout(10):
                    await future

    asyncio.run(run())


@pytest.mark.broker
def test_an_asyncio_client_survives_a_cut_line(broker: BrokerConfig, line: Forwarder) -> None:
    async def run() -> list[BatchResult]:
        async with AsyncFerClient(line.through(broker)) as client:
            futures = []
            for width in range(30, 60):
                futures.append(client.submit([plain_jpeg(width)]))
                if width % 10 == 0:
                    await asyncio.to_thread(line.cut)
            async with asyncio.timeout(30):
                return await asyncio.gather(*futures)

    with serving(broker, SizeEngine()):
        results = asyncio.run(run())
    assert [result.faces_areas for result in results] == [(w * 40,) for w in range(30, 60)]


@pytest.mark.broker
def test_a_lost_line_is_logged_once(
    broker: BrokerConfig, line: Forwarder, caplog: pytest.LogCaptureFixture
) -> None:
    with FerClient(line.through(broker)) as client, caplog.at_level(logging.INFO, "fer_client"):
        line.cut()
        wait_until(lambda: line.accepted == 2, what="it connects anew")
        wait_until(lambda: client.connected, what="it is there again")
    lost = [text for text in caplog.messages if text.startswith("the connection is lost: ")]
    assert len(lost) == 1


@pytest.mark.broker
def test_a_client_that_closes_warns_of_nothing(
    broker: BrokerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    with FerClient(broker):
        pass
    assert not [r for r in caplog.records if r.name.startswith("fer_client") and r.levelno > 20]
