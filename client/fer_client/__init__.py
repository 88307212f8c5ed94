"""The client of fer-worker: publish batches of JPEG frames, get futures.

    from fer_client import FerClient
"""

from fer_client.client import FerClient

__all__ = ["FerClient"]
