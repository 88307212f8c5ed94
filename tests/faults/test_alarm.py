"""Fault 4: a broker that is low on memory takes no messages until it has some again."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from fer_client import AsyncFerClient, FerClient
from fer_client.config import BrokerConfig
from fer_worker.admin.dead_letters import DeadLetters
from fer_worker.gateway.app import create_app
from fer_worker.gateway.uploads import UploadHandler
from fer_worker.limits import Limits
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.engines import SLOW_HEIGHT, GatedEngine, SizeEngine, plain_jpeg
from tests.serving import Sender, fer_worker, request, running, serving, supervising
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

PREFETCH = 4
HANG_TIMEOUT_S = 2
LARGE = 8_000_000


@contextmanager
def low_on_memory(node: EmbeddedBroker) -> Iterator[None]:
    node.rabbitmqctl("set_vm_memory_high_watermark", "0.00000001")
    try:
        wait_until(lambda: "memory" in node.rabbitmqctl("eval", "rabbit_alarm:get_alarms()."))
        yield
    finally:
        node.rabbitmqctl("set_vm_memory_high_watermark", "0.4")


def connections(node: EmbeddedBroker) -> dict[str, str]:
    """The port of everybody who is connected, and the state of the connection."""
    lines = node.rabbitmqctl("-q", "list_connections", "peer_port", "state").splitlines()
    return dict(line.split("\t") for line in lines[1:] if line)


def in_frames(node: EmbeddedBroker) -> list[str]:
    """How many messages `fer.frames` has, and how many of them somebody holds unacked."""
    columns = ("name", "messages", "messages_unacknowledged")
    lines = node.rabbitmqctl("-q", "list_queues", *columns).splitlines()
    return next(line.split("\t")[1:] for line in lines if line.startswith("fer.frames\t"))


def test_nothing_is_acked_or_lost_while_the_broker_takes_no_replies(
    node: EmbeddedBroker, own_broker: BrokerConfig
) -> None:
    engine = GatedEngine()
    widths = range(30, 50)
    broker = replace(own_broker, heartbeat_s=1)  # goes on meanwhile, or the connection would end
    with (
        serving(broker, engine, prefetch=PREFETCH) as service,
        FerClient(broker) as client,
    ):
        futures = {width: client.submit([plain_jpeg(width)]) for width in widths}
        assert engine.entered.wait(20)
        before = connections(node).keys()
        with low_on_memory(node):
            engine.gate.set()
            wait_until(lambda: engine.analysed == PREFETCH, what="what was taken is analysed")
            wait_until(lambda: "blocked" in connections(node).values(), what="one is blocked")
            # Every request is still there, and those that were taken are not acked. The broker
            # counts anew every five seconds.
            held = [str(len(widths)), str(PREFETCH)]
            wait_until(lambda: in_frames(node) == held, 30, "the queue has all requests")
            assert service.progress.in_flight == PREFETCH
            assert service.progress.ready  # it waits for the broker, and that is no fault of it
            assert not any(future.done() for future in futures.values())
            # What is submitted now is sent when the broker reads again.
            futures |= {width: client.submit([plain_jpeg(width)]) for width in range(50, 60)}
        for width, future in futures.items():
            result = future.result(30)
            assert result.faces_areas == (width * 40,)
            assert not result.redelivered
        assert connections(node).keys() == before
    assert client.dropped == 0


def test_waiting_for_a_confirm_is_not_taken_for_a_hang(
    node: EmbeddedBroker, own_broker: BrokerConfig, tmp_path: Path
) -> None:
    arguments = ("--processes=1", "--prefetch=3", f"--hang-timeout={HANG_TIMEOUT_S}")
    with (
        running(tmp_path / "workers.log", own_broker, *arguments, engine="FaultyEngine") as workers,
        FerClient(own_broker) as client,
        Sender(own_broker.urls[0], own_broker.namespace) as sender,
    ):
        before = workers.await_ready(1)
        frames = {width: [plain_jpeg(width, SLOW_HEIGHT)] * 20 for width in (30, 40, 50)}
        futures = {width: client.submit(batch) for width, batch in frames.items()}
        wait_until(lambda: sender.depth("fer.frames") == 0, what="it has taken all of them")
        with low_on_memory(node):
            wait_until(lambda: "blocked" in connections(node).values(), 30, "it has answered")
            time.sleep(3 * HANG_TIMEOUT_S)  # the fault itself
            assert not all(future.done() for future in futures.values())
        for width, future in futures.items():
            result = future.result(30)
            assert result.faces_areas == (width * SLOW_HEIGHT,) * 20
            assert not result.redelivered
        assert workers.ready_pids() == before
        assert workers.status().restarts == 0


def test_a_client_holds_back_what_it_is_given_and_a_gateway_refuses_it(
    node: EmbeddedBroker, own_broker: BrokerConfig
) -> None:
    engine = SizeEngine()
    with serving(own_broker, engine), FerClient(own_broker) as client:
        with low_on_memory(node):
            first = client.submit([plain_jpeg(40)])
            assert wait_until(lambda: client.blocked) == "low on memory"
            assert not client.connected
            for answer in asyncio.run(ask_gateway(own_broker)):
                assert answer.status_code == 503
                assert answer.json()["detail"] == "the broker takes no messages: low on memory"
            before = resident_bytes()
            for _ in range(20):
                assert client.submit([bytes(LARGE)]).cancel()
            kept = client.submit([plain_jpeg(50)])
            wait_until(lambda: resident_bytes() - before < 4 * LARGE, what="none of it is kept")
        assert first.result(30).faces_areas == (40 * 40,)
        assert kept.result(30).faces_areas == (50 * 40,)
        assert client.connected
    assert engine.analysed <= 3  # these two, and what the gateway had sent before it was told


async def ask_gateway(broker: BrokerConfig) -> list[httpx.Response]:
    """Whether a gateway under an alarm is healthy, and what it says of a batch."""
    async with AsyncFerClient(broker) as client:
        client.submit([plain_jpeg(40)])
        while client.blocked is None:
            await asyncio.sleep(0.01)
        transport = httpx.ASGITransport(create_app(UploadHandler(client, timeout_s=30)))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            return [await http.get("/"), await http.post("/detect_batch")]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_status_and_scale_say_that_the_broker_takes_no_messages(
    node: EmbeddedBroker, own_broker: BrokerConfig
) -> None:
    with supervising(own_broker), low_on_memory(node):
        status = json.loads(fer_worker("status", "--json", broker=own_broker).stdout)
        assert status["blocked"] == "low on memory"
        assert status["supervisors"] == []
        assert {"name": "fer.frames", "ready": 0, "consumers": 0} in status["queues"]

        table = fer_worker("status", broker=own_broker)
        assert table.returncode == 0
        assert "The broker takes no messages: low on memory." in table.stdout

        scale = fer_worker("scale", "1", broker=own_broker)
        assert scale.returncode == 5
        assert scale.stderr.startswith("fer-worker: the broker takes no messages: low on memory;")
    status = json.loads(fer_worker("status", "--json", broker=own_broker).stdout)
    assert status["blocked"] is None


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
