"""When processes are started again that die as soon as they have started."""

import asyncio
import os
import time

import pytest

from fer_client.config import BrokerConfig
from fer_worker.limits import DEFAULT_LIMITS
from fer_worker.supervision.process_manager import ProcessManager
from fer_worker.supervision.worker_config import WorkerConfig
from fer_worker.supervision.worker_handle import Slot, WorkerHandle
from tests.serving import worker_config

AT_FIRST = 32
TURNS = 100
TURN_S = 0.01


class Stillborn(WorkerHandle):
    """A process that is dead when it has started."""

    def __init__(self, slot: Slot) -> None:
        self.pid = os.getpid()
        self.exit_code = 1
        self.report = None
        self.started = time.monotonic()
        self.slot = slot

    async def receive(self) -> None:
        return None


def test_one_that_is_left_of_many_that_died_is_started_again_with_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Slot] = []

    async def start_in(slot: Slot, _: WorkerConfig) -> Stillborn:
        started.append(slot)
        return Stillborn(slot)

    monkeypatch.setattr(WorkerHandle, "start_in", start_in)
    config = worker_config(BrokerConfig(("amqp://127.0.0.1:1/",)), "SizeEngine", DEFAULT_LIMITS)

    async def run() -> None:
        processes = ProcessManager(config, AT_FIRST, on_change=lambda: None)
        await processes.reconcile(may_start=True)
        while len(processes):
            await asyncio.sleep(TURN_S)
        assert len(started) == processes.restarts == AT_FIRST
        processes.resize(1)
        for _ in range(TURNS):
            await processes.reconcile(may_start=True)
            await asyncio.sleep(TURN_S)
        # Pauses double: even where these turns take a minute there are no more.
        assert 1 <= len(started) - AT_FIRST <= 8

    asyncio.run(run())
