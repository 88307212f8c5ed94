"""The client of fer-worker: publish batches of JPEG frames, get futures.

from fer_client import FerClient
"""

from fer_client.client import AsyncFerClient
from fer_client.threads import FerClient
from fer_schemas import BatchResult, Frame

__all__ = ["AsyncFerClient", "BatchResult", "FerClient", "Frame"]
