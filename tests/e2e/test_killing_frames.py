"""Frames that end the process that analyses them, each in another way, beside good ones.

FER_WORKER_TEST_LONG=1 sends 20 of them among 2000, as `make soak` does.
"""

import os
from pathlib import Path

import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import ErrorCode, Status
from tests.engines import KILLING_HEIGHTS, plain_jpeg
from tests.serving import Sender, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

GOOD, DEADLY_EVERY = (2000, 100) if os.environ.get("FER_WORKER_TEST_LONG") else (300, 75)


def test_killing_frames_among_good_ones_kill_one_worker_each_and_nothing_else_is_poison(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    working = [f"{broker.namespace}.frames{name}" for name in ("", ".quarantine", ".undeliverable")]
    with (
        running(
            tmp_path / "log", broker, "--processes=2", "--threads=2", engine="FaultyEngine"
        ) as workers,
        FerClient(broker) as client,
    ):
        workers.await_ready(2)
        good, deadly = {}, []
        for number in range(GOOD):
            width = 50 + number
            good[width] = client.submit([plain_jpeg(width, 30)])
            if number % DEADLY_EVERY == DEADLY_EVERY // 2:
                height = KILLING_HEIGHTS[number // DEADLY_EVERY % len(KILLING_HEIGHTS)]
                deadly.append(client.submit([plain_jpeg(60), plain_jpeg(60, height)]))
        for width, future in good.items():
            assert future.result(200).faces_areas == (width * 30,)
        verdicts = [future.result(200) for future in deadly]
        assert workers.status().restarts == len(deadly) == GOOD // DEADLY_EVERY
        wait_until(lambda: not any(map(sender.depth, working)), 60, "all is done")
        workers.await_ready(2)
    for verdict in verdicts:
        assert verdict.status is Status.ERROR
        assert [error.code for error in verdict.errors] == [ErrorCode.POISON_MESSAGE]
    # To set a request aside, and to dead-letter it, is at least once: one may be there twice.
    dead = f"{broker.namespace}.frames.dead"
    dead_lettered = [sender.take(dead)[0].correlation_id for _ in range(sender.depth(dead))]
    assert set(dead_lettered) == {verdict.correlation_id for verdict in verdicts}
