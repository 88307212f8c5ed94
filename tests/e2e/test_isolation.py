"""Commands speak to their broker and to nobody else, and write only where they were told."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from fer_client.config import BrokerConfig
from tests.gateways import gateway, uploads
from tests.pages import ROOT
from tests.serving import fer_worker_process, running
from tests.traces import Trace

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(not shutil.which("strace"), reason="no strace: make test installs it"),
]

FRAMES = ROOT / "examples" / "frames"
MUTE = {"/dev/null", "/dev/tty"}
"""What keeps nothing: where output goes that nobody wants, and the terminal, which is asked for."""


@pytest.fixture(autouse=True)
def _not_on_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that tell somebody of their use keep quiet where they see CI."""
    monkeypatch.delenv("CI", raising=False)


def addresses(broker: BrokerConfig) -> set[str]:
    parts = urlsplit(broker.urls[0])
    return {f"{parts.hostname}:{parts.port}"}


def kept(files: Iterable[Path], *told: Path) -> set[str]:
    """Of what was written, what nobody asked for. Python's own cache of bytecode is not ours."""
    return {
        str(path)
        for path in files
        if str(path) not in MUTE
        and "__pycache__" not in path.parts
        and not any(path.is_relative_to(folder) for folder in told)
    }


def test_workers_and_a_sender(broker: BrokerConfig, tmp_path: Path) -> None:
    worker, sender = Trace(tmp_path / "run"), Trace(tmp_path / "submit")
    options = ("--processes=2", "--metrics-port=0", "--metrics-host=0.0.0.0")
    told = tmp_path / "told"
    told.mkdir()
    with running(tmp_path / "log", broker, *options, prefix=worker.prefix) as workers:
        workers.await_ready(2)
        done = fer_worker_process(
            "submit",
            *(f"--output={told}/rows.jsonl", f"--annotate={told}/annotated", str(FRAMES)),
            broker=broker,
            prefix=sender.prefix,
        )
        assert "9 answered" in done.stderr
    for trace in (worker, sender):
        assert trace.addresses() == addresses(broker)
    assert kept(worker.files()) == set()
    assert kept(sender.files(), told) == set()
    assert told / "rows.jsonl" in sender.files()


def test_a_gateway(broker: BrokerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace(tmp_path / "gateway")
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setenv("TMPDIR", str(spool))
    with (
        running(tmp_path / "log", broker, "--processes=1") as workers,
        gateway(tmp_path / "gateway.log", broker, prefix=trace.prefix) as served,
    ):
        workers.await_ready(1)
        served.wait_until_connected()
        with served.client() as http:
            large = (FRAMES / "astronaut.jpg").read_bytes() + bytes(2**21)  # waits on the disk
            for page in ("/docs", "/openapi.json", "/try"):
                assert http.get(page).status_code == httpx.codes.OK
            answer = http.post("/detect_batch", files=uploads([large]))
            assert answer.status_code == httpx.codes.OK, answer.text
    assert trace.addresses() == addresses(broker)
    assert kept(trace.files(), spool) == set()
    assert list(spool.iterdir()) == []
