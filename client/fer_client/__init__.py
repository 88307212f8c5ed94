"""The client of fer-worker: publish batches of JPEG frames, get futures.

from fer_client import FerClient
"""

from fer_client.client import AsyncFerClient
from fer_client.config import BrokerConfig, TlsFiles
from fer_client.errors import (
    BatchTooLargeError,
    BrokerError,
    BrokerRefusedError,
    BrokerUnavailableError,
    FerWorkerError,
    NoAnswerError,
    NoWorkerQueueError,
    NoWorkersError,
    QueueFullError,
    SubmitError,
)
from fer_client.threads import FerClient
from fer_schemas import BatchResult, Frame

__all__ = [
    "AsyncFerClient",
    "BatchResult",
    "BatchTooLargeError",
    "BrokerConfig",
    "BrokerError",
    "BrokerRefusedError",
    "BrokerUnavailableError",
    "FerClient",
    "FerWorkerError",
    "Frame",
    "NoAnswerError",
    "NoWorkerQueueError",
    "NoWorkersError",
    "QueueFullError",
    "SubmitError",
    "TlsFiles",
]
