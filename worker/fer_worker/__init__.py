"""fer-worker: facial emotions for batches of JPEG frames, over RabbitMQ."""

__version__ = "0.2.0"
