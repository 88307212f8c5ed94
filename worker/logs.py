"""Log lines: one an edge, on stderr, with the time and who speaks."""

import logging
import sys
import time


class _LineFormatter(logging.Formatter):
    """`2026-11-23T10:00:00.123Z INFO    [host/pid] text`, in UTC."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


def setup_logs(speaker: str, level: int = logging.INFO) -> None:
    """Send this process's log lines to stderr; `speaker` is named on each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter(f"%(asctime)s %(levelname)-7s [{speaker}] %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # pika reports every failed attempt at length; our own lines say what matters of it.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
