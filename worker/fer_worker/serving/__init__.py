"""One worker process: from a delivery to its reply and its ack."""
