"""Why no answer comes: said while it is waited for, and in the error at the end."""

import asyncio
import logging

import pytest

from fer_client import AsyncFerClient, FerClient, NoAnswerError, NoWorkersError
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from tests.engines import GatedEngine, SizeEngine, plain_jpeg
from tests.frames import FOLDER
from tests.serving import Sender, fer_worker_process, serving, supervising
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

JPEG = plain_jpeg(50)


def nobody(broker: BrokerConfig) -> str:
    return f"nobody takes batches from {broker.namespace}.frames (consumers 0)"


def test_a_call_without_workers_ends_with_the_reason_and_is_not_analysed_later(
    broker: BrokerConfig,
) -> None:
    engine, reason = SizeEngine(), f"{nobody(broker)}; `fer-worker run` starts workers"
    with FerClient(broker) as client:
        with pytest.raises(NoAnswerError) as error:
            client.analyze(JPEG, timeout_s=3)
        assert str(error.value) == f"no answer within 3 s: {reason}"
        later = client.submit([plain_jpeg(60)])
        with pytest.raises(TimeoutError, match=r"^no answer within 0.1 s: nobody takes batches"):
            later.result(timeout=0.1)
        with serving(broker, engine):
            assert later.result(timeout=20).status == "success"
        assert engine.analysed == 1


def test_a_call_that_does_not_wait_for_workers_ends_with_the_reason(broker: BrokerConfig) -> None:
    async def run() -> None:
        async with AsyncFerClient(broker) as client:
            await client.analyze(JPEG, wait_for_workers=False)

    with pytest.raises(NoWorkersError) as error:
        asyncio.run(run())
    assert str(error.value) == f"{nobody(broker)}; `fer-worker run` starts workers"


def test_a_batch_waits_for_workers_and_that_there_are_none_is_said_once(
    broker: BrokerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    with FerClient(broker) as client, caplog.at_level(logging.INFO, "fer_client"):
        futures = [client.submit(plain_jpeg(width)) for width in (50, 60)]
        reason = wait_until(lambda: client.silence, 10, "it is known that nobody is there")
        with serving(broker, SizeEngine()):
            assert [future.result(20).faces_areas for future in futures] == [(2000,), (2400,)]
        assert client.silence is None
    assert reason == f"{nobody(broker)}; `fer-worker run` starts workers"
    assert caplog.messages.count(reason) == 1


def test_submit_says_that_there_are_no_workers_and_the_frames_are_not_analysed_later(
    broker: BrokerConfig,
) -> None:
    picture = str(FOLDER / "no_face.jpg")
    done = fer_worker_process("submit", picture, "--timeout=3", broker=broker)
    reason = f"{nobody(broker)}; `fer-worker run` starts workers"
    said, failed, _ = done.stderr.splitlines()
    assert (done.returncode, said) == (5, reason)
    assert failed == f"fer-worker: no answer in time: {reason}: {picture}"
    engine = SizeEngine()
    with serving(broker, engine), FerClient(broker) as client:
        assert client.analyze(JPEG).status == "success"
    assert engine.analysed == 1


def test_workers_that_start_or_pause_are_told_by_their_supervisor_and_waited_for(
    broker: BrokerConfig,
) -> None:
    with supervising(broker), FerClient(broker) as client:
        future = client.submit(JPEG, wait_for_workers=False)
        reason = wait_until(lambda: client.silence, 10, "it is known that no worker is there")
        assert reason == f"{nobody(broker)}; `fer-worker status` says what its workers do"
        with serving(broker, SizeEngine()):
            assert future.result(20).status == "success"


def test_a_worker_that_is_busy_is_not_called_missing(broker: BrokerConfig) -> None:
    engine = GatedEngine()
    with serving(broker, engine, threads=1, prefetch=1), FerClient(broker) as client:
        with pytest.raises(NoAnswerError, match=r"^no answer within 3 s$"):
            client.analyze(JPEG, timeout_s=3)
        engine.gate.set()


def test_where_the_broker_does_not_say_who_reads_a_batch_waits(
    broker: BrokerConfig, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    topology = Topology(broker.namespace)
    elsewhere = f"{broker.namespace}.elsewhere"
    with FerClient(broker, answer_timeout_s=3) as client:
        sender.channel.queue_declare(elsewhere, exclusive=True)
        sender.channel.queue_bind(elsewhere, topology.requests, "frames")
        sender.channel.queue_delete(topology.frames.name)
        with pytest.raises(NoAnswerError, match=r"^no answer within 3 s$"):
            client.submit(JPEG, wait_for_workers=False).result(20)
        assert client.connected
    assert not [text for text in caplog.messages if "anew" in text]
