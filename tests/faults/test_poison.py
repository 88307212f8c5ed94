"""Frames that kill the process that analyses them, and requests that only look like those."""

from pathlib import Path

import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import ErrorCode, Status
from tests.engines import ABORTING_HEIGHT, plain_jpeg
from tests.serving import Sender, running
from tests.waiting import wait_until

pytestmark = pytest.mark.broker


def test_frame_that_kills_is_poison_and_50_good_ones_are_answered(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    widths = range(50, 100)
    options = ("--processes=2", "--threads=1", "--prefetch=4")
    working = [
        f"{broker.namespace}.{name}"
        for name in ("frames", "frames.quarantine", "frames.undeliverable")
    ]
    with (
        running(tmp_path / "log", broker, *options, engine="FaultyEngine") as workers,
        FerClient(broker) as client,
    ):
        workers.await_ready(2)
        good = [client.submit([plain_jpeg(width)]) for width in widths[:25]]
        deadly = client.submit([plain_jpeg(60, ABORTING_HEIGHT)])
        good += [client.submit([plain_jpeg(width)]) for width in widths[25:]]
        results = [future.result(100) for future in good]
        verdict = deadly.result(100)
        restarts = workers.status().restarts
        # What was answered while its worker died is answered a second time.
        wait_until(lambda: not any(map(sender.depth, working)), 60, "all is done")
    assert [result.faces_areas for result in results] == [(width * 40,) for width in widths]
    assert verdict.status is Status.ERROR
    assert [error.code for error in verdict.errors] == [ErrorCode.POISON_MESSAGE]
    assert restarts == 1  # it was taken once with others; examiners died of it by itself
    assert sender.depth(f"{broker.namespace}.frames.dead") == 1
