"""Frames that end the process that analyses them, several at once and each in another way."""

from pathlib import Path

import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import ErrorCode, Status
from tests.engines import KILLING_HEIGHTS, plain_jpeg
from tests.serving import Sender, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]


def test_only_what_kills_is_poison_and_every_good_batch_is_answered(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    widths = range(50, 110)
    deadly_after = dict(zip((60, 72, 84, 96), KILLING_HEIGHTS, strict=True))
    options = ("--processes=2", "--threads=2", "--prefetch=4")
    working = [f"{broker.namespace}.frames{name}" for name in ("", ".quarantine", ".undeliverable")]
    with (
        running(tmp_path / "log", broker, *options, engine="FaultyEngine") as workers,
        FerClient(broker) as client,
    ):
        workers.await_ready(2)
        good, deadly = [], []
        for width in widths:
            good.append(client.submit([plain_jpeg(width)]))
            if height := deadly_after.get(width):
                deadly.append(client.submit([plain_jpeg(width), plain_jpeg(width, height)]))
        results = [future.result(200) for future in good]
        verdicts = [future.result(200) for future in deadly]
        wait_until(lambda: not any(map(sender.depth, working)), 60, "all is done")
        workers.await_ready(2)
    assert len(verdicts) == len(KILLING_HEIGHTS)
    assert [result.faces_areas for result in results] == [(width * 40,) for width in widths]
    for verdict in verdicts:
        assert verdict.status is Status.ERROR
        assert [error.code for error in verdict.errors] == [ErrorCode.POISON_MESSAGE]
    # To set a request aside, and to dead-letter it, is at least once: one may be there twice.
    dead = f"{broker.namespace}.frames.dead"
    dead_lettered = [sender.take(dead)[0].correlation_id for _ in range(sender.depth(dead))]
    assert set(dead_lettered) == {verdict.correlation_id for verdict in verdicts}


def test_of_20_killing_frames_among_2000_each_kills_one_worker_and_is_poison(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with (
        running(
            tmp_path / "log", broker, "--processes=2", "--threads=1", engine="FaultyEngine"
        ) as workers,
        FerClient(broker) as client,
    ):
        workers.await_ready(2)
        good, deadly = {}, []
        for width in range(50, 2050):
            good[width] = client.submit([plain_jpeg(width, 30)])
            if width % 100 == 0:
                height = KILLING_HEIGHTS[width // 100 % len(KILLING_HEIGHTS)]
                deadly.append(client.submit([plain_jpeg(60, height)]))
        for width, future in good.items():
            assert future.result(200).faces_areas == (width * 30,)
        for future in deadly:
            codes = [error.code for error in future.result(200).errors]
            assert codes == [ErrorCode.POISON_MESSAGE]
        assert workers.status().restarts == len(deadly) == 20
