"""Log lines: one an edge, on stderr, with the time and who speaks."""

import logging
import sys
import time


class _LineFormatter(logging.Formatter):
    """`2026-11-23T10:00:00.123Z INFO    [host/pid] text`, in UTC."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        # Texts of senders are in it: a line break or a terminal's escape must not forge a line.
        line = super().formatMessage(record)
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


def setup_logs(speaker: str, level: int = logging.INFO) -> None:
    """Send this process's log lines to stderr; `speaker` is named on each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter(f"%(asctime)s %(levelname)-7s [{speaker}] %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # pika reports every failed attempt at length; our own lines say what matters of it.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
