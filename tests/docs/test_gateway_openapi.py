"""The gateway does what its OpenAPI document says, and no request makes it fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from tests.engines import SizeEngine
from tests.gateways import gateway
from tests.serving import serving

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]


def test_every_route_keeps_to_its_document_whatever_it_is_sent(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with serving(broker, SizeEngine()), gateway(tmp_path / "log", broker) as started:
        started.wait_until_connected()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{started.url}/openapi.json"),
                *("--checks=all", "--max-examples=8", "--seed=1", "--generation-database=none"),
            ],
            cwd=tmp_path,
            env=os.environ
            | {"SCHEMATHESIS_HOOKS": "tests.docs.openapi_hooks", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=150,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 selected / 3 total" in done.stdout
    assert "Traceback" not in started.log.read_text()
