"""fer-worker on arm64, emulated: the same faces as here, and a batch from end to end."""

import json
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from tests.answers import FOLDER, answers, answers_of
from tests.pages import ROOT
from tests.serving import fer_worker_process, running

PYTHON = str(ROOT / "build/arm/root/usr/bin/python")
KERNELS = ["baseline"]

pytestmark = [pytest.mark.arm, pytest.mark.timeout(600)]


def test_boxes_are_the_same_and_scores_are_close() -> None:
    """Scores differ where OpenCV turns and scales a face: by a grey level."""
    here, there = answers(FOLDER, KERNELS), answers_of(PYTHON, KERNELS)
    assert there.keys() == here.keys()
    assert sum(map(len, here.values())) > 30
    for frame, faces in here.items():
        assert [face["box"] for face in there[frame]] == [face["box"] for face in faces], frame
        for face, other in zip(faces, there[frame], strict=True):
            assert other["probability"] == pytest.approx(face["probability"], abs=1e-6)
            assert other["scores"] == pytest.approx(face["scores"], abs=0.005)


def test_workers_answer_a_batch_and_drain(broker: BrokerConfig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(log, broker, "--processes=1", "--hang-timeout=300", python=PYTHON) as workers:
        frames = [str(FOLDER / name) for name in ("burst-1.jpg", "grace_hopper.jpg")]
        done = fer_worker_process(
            *("submit", "--timeout=300", *frames), broker=broker, timeout_s=400, python=PYTHON
        )
        assert "2 frames sent, 2 answered" in done.stderr, done.stderr + log.read_text()
        assert json.loads(done.stdout.splitlines()[0])["status"] == "success"
    assert workers.process.returncode == 0, log.read_text()
