"""All that a supervisor hands to a process that it starts."""

from dataclasses import dataclass
from enum import IntEnum

from fer_client.config import BrokerConfig
from fer_client.errors import BrokerRefusedError, EngineError
from fer_worker.inference.factory import create_engine
from fer_worker.inference.types import EngineFactory, EngineOptions
from fer_worker.limits import Limits
from fer_worker.logging_setup import LogFormat

DEFAULT_DRAIN_TIMEOUT_S = 30.0
DEFAULT_HANG_TIMEOUT_S = 60.0


class ExitCode(IntEnum):
    """How a worker process ends of itself."""

    DRAINED = 0
    DRAIN_TIMED_OUT = 1
    BROKER_REFUSED = BrokerRefusedError.exit_code
    ENGINE_FAILED = EngineError.exit_code
    TOLD_TWICE = 143  # what a shell says of a process ended by SIGTERM


@dataclass(frozen=True)
class WorkerConfig:
    """All that a worker process needs to know; picklable."""

    broker: BrokerConfig
    engine: EngineOptions
    limits: Limits
    threads: int
    prefetch: int
    drain_timeout_s: float
    hang_timeout_s: float
    log_level: str = "info"
    log_format: LogFormat = "text"
    kernel: str | None = None
    """Of the engine `native`; see `choose_kernel`."""
    create_engine: EngineFactory = create_engine
