"""Killing requests and random deaths together: the innocent are answered, whatever dies.

FER_WORKER_TEST_LONG=1 makes the storm longer, as `make soak` does.
"""

import contextlib
import os
import random
import re
import signal
import time
from pathlib import Path

import pika
import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import BatchResult, ErrorCode, Status
from tests.engines import FAILED_STARTS, HANGING_HEIGHT, KILLING_HEIGHTS, STARTS, plain_jpeg
from tests.forwarder import Forwarder
from tests.leftovers import is_alive
from tests.serving import RunningWorkers, Sender, running, supervising
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(420)]

LONG = bool(os.environ.get("FER_WORKER_TEST_LONG"))
CHAOS_S, DEADLY_EVERY = (15.0, 15) if LONG else (6.0, 40)
CUT_EVERY_S = 0.05
KILL_EVERY_S = 1.0
OPTIONS = ("--processes=2", "--threads=2", "--prefetch=4")


class Host:
    """A supervisor that is started again when it is killed, and its line to the broker."""

    def __init__(self, log: Path, broker: BrokerConfig, held: contextlib.ExitStack) -> None:
        self._log = log
        self._held = held
        self.line = held.enter_context(Forwarder.to(broker))
        self._broker = self.line.through(broker)
        self.workers = self._start()

    def _start(self) -> RunningWorkers:
        return self._held.enter_context(
            running(self._log, self._broker, *OPTIONS, engine="FaultyEngine")
        )

    def kill_something(self, chance: random.Random) -> None:
        """Kill the supervisor, or a worker or an examiner of it."""
        supervisor = self.workers.process.pid
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        victim = chance.choice([supervisor, *map(int, children), *map(int, children)])
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        if victim == supervisor:
            self.workers.process.wait()
            self.workers = self._start()


def test_no_innocent_request_is_called_poison_in_a_storm_of_deaths(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    chance = random.Random(7)
    with contextlib.ExitStack() as held:
        client = held.enter_context(FerClient(broker))
        hosts = [Host(tmp_path / name, broker, held) for name in ("host-1", "host-2")]
        wait_until(
            lambda: all("ready: " in host.workers.log.read_text() for host in hosts), 60, "ready"
        )
        good, deadly = {}, []
        for number in range(150):
            good[50 + number] = client.submit([plain_jpeg(50 + number)])
            if number % DEADLY_EVERY == 0:
                height = KILLING_HEIGHTS[number // DEADLY_EVERY % len(KILLING_HEIGHTS)]
                deadly.append(client.submit([plain_jpeg(60, height)]))
        until, kill_at = time.monotonic() + CHAOS_S, 0.0
        while time.monotonic() < until:  # the faults themselves
            chance.choice(hosts).line.cut()
            if time.monotonic() > kill_at:
                kill_at = time.monotonic() + KILL_EVERY_S
                chance.choice(hosts).kill_something(chance)
            time.sleep(CUT_EVERY_S)
        for width, future in good.items():
            assert future.result(180).faces_areas == (width * 40,)
        for future in deadly:
            codes = [error.code for error in future.result(180).errors]
            assert codes == [ErrorCode.POISON_MESSAGE]


def send_to_quarantine(sender: Sender, jpeg: bytes) -> None:
    properties = pika.BasicProperties(
        correlation_id="set apart", reply_to=sender.reply_to, content_type="image/jpeg"
    )
    sender.channel.basic_publish("", f"{sender.namespace}.frames.quarantine", jpeg, properties)


@pytest.mark.parametrize("engine", ["RefusingEngine", "LeavingEngine"])
def test_examiners_that_do_not_start_count_against_no_request(
    broker: BrokerConfig,
    sender: Sender,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
) -> None:
    starts = tmp_path / "starts"
    monkeypatch.setenv(STARTS, str(starts))
    send_to_quarantine(sender, plain_jpeg(60))
    with supervising(broker, examine_with=engine):
        result = BatchResult.model_validate_json(sender.take(timeout_s=90)[1])
    assert (result.status, result.faces_areas) == (Status.SUCCESS, (60 * 40,))
    assert starts.stat().st_size == FAILED_STARTS + 1
    assert sender.depth(f"{broker.namespace}.frames.dead") == 0


@pytest.mark.parametrize(
    ("engine", "is_at_it"),
    [("FaultyEngine", " warm in "), ("UnreadyEngine", "started examiner")],
    ids=["amid a frame", "amid its start"],
)
def test_examiner_leaves_with_its_supervisor(
    broker: BrokerConfig, sender: Sender, tmp_path: Path, engine: str, is_at_it: str
) -> None:
    log = tmp_path / "log"
    send_to_quarantine(sender, plain_jpeg(60, HANGING_HEIGHT))
    with running(log, broker, "--processes=0", "--threads=1", engine=engine) as workers:
        wait_until(lambda: is_at_it in log.read_text(), 60, "the examiner is at it")
        (examiner,) = map(int, re.findall(r"started examiner (\d+)", log.read_text()))
        try:
            workers.process.kill()
            workers.process.wait()
            wait_until(lambda: not is_alive(examiner), 30, "the examiner has ended")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(examiner, signal.SIGKILL)
