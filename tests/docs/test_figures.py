"""Figures that pages give are those of the code."""

import pytest

from fer_client.amqp import sessions
from fer_client.amqp.topology import MIB, READING_DELIVERY_LIMIT, Topology
from fer_client.config import BrokerConfig
from fer_client.errors import BrokerError, EngineError, FerWorkerError, NoAnswerError
from fer_schemas import MAX_FRAMES
from fer_worker.gateway.bodies import MAX_SILENCE_S, MIN_BYTES_PER_S
from fer_worker.gateway.server import HEADERS_LIMIT_S, MAX_CONNECTIONS
from fer_worker.gateway.uploads import MAX_HELD_BYTES
from fer_worker.inference.types import LEAST_FACE_SIZE, EngineOptions
from fer_worker.limits import DEFAULT_LIMITS
from fer_worker.logging_setup import FIRST_LINES, WINDOW_S
from fer_worker.serving.responder import REPLY_PATIENCE_S
from fer_worker.supervision import worker_handle
from fer_worker.supervision.child_process import START_LIMIT_S
from fer_worker.supervision.quarantine import DEATHS
from fer_worker.supervision.supervisor import DECLARE_INTERVAL_S
from fer_worker.supervision.worker_config import (
    DEFAULT_DRAIN_TIMEOUT_S,
    DEFAULT_HANG_TIMEOUT_S,
    ExitCode,
)
from fer_worker.supervision.worker_main import REPORT_INTERVAL_S
from tests.pages import ROOT

MESSAGE_MIB = DEFAULT_LIMITS.max_bytes // MIB
FRAME_MIB = DEFAULT_LIMITS.frame.max_bytes // MIB
MEGAPIXELS = DEFAULT_LIMITS.frame.max_pixels // 10**6
SMALLEST_FACE = EngineOptions().min_face_size
FRAMES_GIB = int(Topology().frames.arguments["x-max-length-bytes"]) // (1024 * MIB)

FIGURES = {
    "README.md": (
        f"A message has at most {MESSAGE_MIB} MiB and {MAX_FRAMES} frames",
        f"a frame at most {FRAME_MIB} MiB and {MEGAPIXELS} megapixels",
        f"Faces under {SMALLEST_FACE} pixels are not looked for",
    ),
    "docs/architecture.md": (
        f"declares the queues every {DECLARE_INTERVAL_S:.0f} s",
        f"It reports over a pair of sockets {1 / REPORT_INTERVAL_S:.0f} times per second",
        f"from {worker_handle.FIRST_PAUSE_S:.0f} s to {worker_handle.LONGEST_PAUSE_S:.0f} s",
        f"`--hang-timeout` ({DEFAULT_HANG_TIMEOUT_S:.0f} s)",
        f"Its start may take {START_LIMIT_S:.0f} s more",
        f"`--drain-timeout` ({DEFAULT_DRAIN_TIMEOUT_S:.0f} s)",
        f"{worker_handle.KILL_GRACE_S:.0f} s later the process is killed",
        f"After {DEATHS} deaths",
        f"requests of {MESSAGE_MIB} MiB",
        f"{3 * MEGAPIXELS} MB at the limit of {MEGAPIXELS} megapixels",
    ),
    "docs/min-face-size.md": (
        f"The default, {SMALLEST_FACE} pixels",
        f"pixels, {LEAST_FACE_SIZE} or more",
    ),
    "docs/protocol.md": (
        f"tried for {REPLY_PATIENCE_S:.0f} s, then `fer.results`",
        f"requests; {FRAMES_GIB} GiB, then your publish is nacked",
    ),
    "docs/reliability.md": (f"ours say {READING_DELIVERY_LIMIT:,}",),
    "docs/runbook.md": (
        f"pauses of at most {sessions.LONGEST_PAUSE_S:.0f} s",
        f"the heartbeat ({BrokerConfig.heartbeat_s} s)",
    ),
    "docs/security.md": (
        f"{MESSAGE_MIB} MiB (a third more as base64) and {MAX_FRAMES} files of {FRAME_MIB} MiB",
        f"no pause over {MAX_SILENCE_S:.0f} s, no less than {MIN_BYTES_PER_S // 1024} KiB/s",
        f"{MAX_HELD_BYTES // MIB} MiB for all clients together",
        f"{MAX_CONNECTIONS} connections, and {HEADERS_LIMIT_S:.0f} s for the headers",
        f"{FIRST_LINES} lines of a kind in {WINDOW_S:.0f} s",
    ),
    "docs/troubleshooting.md": (
        f"{FerWorkerError.exit_code} failed",
        f"{BrokerError.exit_code} [the broker]",
        f"{EngineError.exit_code} [the engine]",
        f"{NoAnswerError.exit_code} [no answer]",
        f"{ExitCode.TOLD_TWICE:d} `run` was told to stop twice",
        f"within {DECLARE_INTERVAL_S:.0f} s",
    ),
}


@pytest.mark.parametrize(
    ("page", "text"), [(page, text) for page, texts in FIGURES.items() for text in texts]
)
def test_page_has_the_figure(page: str, text: str) -> None:
    assert text in " ".join((ROOT / page).read_text(encoding="utf-8").split())
