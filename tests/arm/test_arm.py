"""fer-worker on arm64, emulated: the same faces as here, and a batch from end to end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fer_client.config import BrokerConfig
from tests.pages import ROOT
from tests.serving import fer_worker_process, running

PYTHON = str(ROOT / "build/arm/root/usr/bin/python")
FRAMES = ROOT / "examples" / "frames"

pytestmark = [pytest.mark.arm, pytest.mark.timeout(600)]


def answers(python: str) -> dict[str, list[dict[str, Any]]]:
    """Faces per set of options, choice of faces, and frame."""
    script = [str(ROOT / "tests" / "answers.py"), str(FRAMES)]
    done = subprocess.run([python, *script], check=True, capture_output=True, text=True)
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def test_boxes_are_the_same_and_scores_are_close() -> None:
    """Scores differ where OpenCV turns and scales a face: by a grey level."""
    here, there = answers(sys.executable), answers(PYTHON)
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
        frames = [str(FRAMES / name) for name in ("burst-1.jpg", "grace_hopper.jpg")]
        done = fer_worker_process(
            *("submit", "--timeout=300", *frames), broker=broker, timeout_s=400, python=PYTHON
        )
        assert "2 frames sent, 2 answered" in done.stderr, done.stderr + log.read_text()
        assert json.loads(done.stdout.splitlines()[0])["status"] == "success"
    assert workers.process.returncode == 0, log.read_text()
