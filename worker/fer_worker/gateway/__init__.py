"""HTTP in front of the queue, with the contract of the earlier FastAPI module (extra `http`)."""
