"""Log lines: one per change of state, on stderr, as text for a terminal or as JSON.

What is repeated is counted. A thousand bad messages in a second make ten lines and a number, so
nobody can fill a disk, or hide one line among a million others.
"""

import logging
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from textwrap import indent
from typing import Any, Final, Literal, TextIO

from pythonjsonlogger.json import JsonFormatter

LogFormat = Literal["text", "json"]

FIRST_LINES: Final = 10
"""Lines of one template that are written in a window; the rest is counted."""

WINDOW_S: Final = 10.0

MOST_TEMPLATES: Final = 256
"""Templates that are remembered at once. Ours are a few dozen; a library may make its own up."""


def setup_logs(
    worker: str,
    level: str = "info",
    log_format: LogFormat = "text",
    all_of: Collection[str] = (),
) -> None:
    """Send this process's log lines to stderr.

    Args:
        worker: host/pid, named on each line.
        level: of the least important lines that are written, such as `info`.
        log_format: lines for a terminal, or one JSON object per line.
        all_of: loggers whose lines are all written, repeated ones too.
    """
    handler = _Handler(RepeatedLines(all_of))
    handler.setFormatter(formatter(worker, log_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # pika reports every failed attempt at length; our own lines say what matters of it.
    logging.getLogger("pika").setLevel(logging.CRITICAL)


def log_context(correlation_id: str | None) -> Mapping[str, str]:
    """What a line about a request is given as `extra`: the correlation id, where there is one."""
    return {} if correlation_id is None else {"correlation_id": correlation_id}


def formatter(worker: str, log_format: LogFormat) -> logging.Formatter:
    """Make what turns a record into a line."""
    return _JsonFormatter(worker) if log_format == "json" else _TextFormatter(worker)


class _UtcTime:
    """`2026-11-23T10:00:00.123Z`, for both formatters."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format: str | None = "%s.%03dZ"


class _TextFormatter(_UtcTime, logging.Formatter):
    """`2026-11-23T10:00:00.123Z INFO    [host/pid] text correlation_id=6f1a`."""

    def __init__(self, worker: str) -> None:
        line = "%(asctime)s %(levelname)-7s [%(worker)s] %(message)s"
        super().__init__(line, defaults={"worker": worker})

    # Texts of senders are in it: a line break or a terminal's escape must not forge a line.

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line = super().formatMessage(record)
        correlation_id = getattr(record, "correlation_id", None)
        return _printable(line if correlation_id is None else f"{line} {correlation_id=!s}")

    def formatException(self, ei: Any) -> str:  # noqa: N802
        # Indented, since a line of the log begins with its time.
        lines = super().formatException(ei).split("\n")
        return indent("\n".join(map(_printable, lines)), "    ")


class _JsonFormatter(_UtcTime, JsonFormatter):
    """An object with time, level, logger, message, worker; correlation_id and exception if any."""

    def __init__(self, worker: str) -> None:
        super().__init__(
            ("asctime", "levelname", "name", "message"),
            rename_fields={
                "asctime": "time",
                "levelname": "level",
                "name": "logger",
                "exc_info": "exception",
            },
            static_fields={"worker": worker},
        )


def _printable(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


@dataclass
class _Window:
    """Some seconds of one template, from its first line on."""

    began_s: float
    """On the monotonic clock."""
    written: int = 0
    left_out: int = 0
    """Lines that were counted and are not told yet."""
    last_text: str = ""


class RepeatedLines(logging.Filter):
    """Lets the first lines of a template through in each window, and counts the others.

    The count is told by the next line that gets through, or at the end of the process. Lines of
    level debug all get through: who asks for them looks for something.
    """

    def __init__(self, all_of: Collection[str] = (), window_s: float = WINDOW_S) -> None:
        """Store what is needed; lines of the loggers named in `all_of` all get through."""
        super().__init__()
        self._all_of = all_of
        self._window_s = window_s
        self._windows: dict[tuple[str, int, str], _Window] = {}  # the oldest first
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line is written."""
        if record.levelno <= logging.DEBUG or record.name in self._all_of:
            return True
        template = (record.name, record.levelno, str(record.msg))
        now_s = time.monotonic()
        with self._lock:
            window = self._windows.get(template)
            before = 0
            if window is None or now_s >= window.began_s + self._window_s:
                if window is not None:
                    before = self._windows.pop(template).left_out
                elif len(self._windows) == MOST_TEMPLATES:
                    del self._windows[next(iter(self._windows))]
                window = self._windows[template] = _Window(now_s)
            if window.written == FIRST_LINES:
                window.left_out += 1
                window.last_text = record.getMessage()  # the record may hold a whole request
                return False
            window.written += 1
        if before:
            record.msg = f"{record.msg} (and {before} more like it before)"
        return True

    def left_out(self) -> Iterator[logging.LogRecord]:
        """Tell how many lines of each template were not written, and what the last of them was."""
        for (logger, level, _), window in list(self._windows.items()):
            if window.left_out:
                text = f"and {window.left_out} more like it, the last: {window.last_text}"
                name = logging.getLevelName(level)
                fields = {"name": logger, "levelno": level, "levelname": name, "msg": text}
                yield logging.makeLogRecord(fields)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to stderr what is not left out."""

    def __init__(self, repeated: RepeatedLines) -> None:
        super().__init__(sys.stderr)
        self._repeated = repeated
        self.addFilter(repeated)

    def close(self) -> None:
        # The end of a process comes by here.
        for record in self._repeated.left_out():
            self.emit(record)
        super().close()
