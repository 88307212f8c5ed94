"""Log lines: one an edge, on stderr, as text for a terminal or as JSON.

What is repeated is counted. A thousand bad messages in a second make ten lines and a number, so
nobody can fill a disk, or hide one line among a million others.
"""

import logging
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import indent
from typing import Any, Literal, TextIO

from pythonjsonlogger.json import JsonFormatter

LogFormat = Literal["text", "json"]

FIRST_LINES = 10
"""Lines of one template that are written in a window; the rest is counted."""

WINDOW_S = 10.0

MOST_TEMPLATES = 256
"""Templates that are remembered at once. Ours are a few dozen; a library may make its own up."""


def setup_logs(worker: str, level: int = logging.INFO, log_format: LogFormat = "text") -> None:
    """Send this process's log lines to stderr.

    Args:
        worker: host/pid, named on each line.
        level: of the least important lines that are written.
        log_format: lines for a terminal, or a JSON object each.
    """
    handler = CountingHandler(sys.stderr)
    handler.setFormatter(formatter(worker, log_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
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

    began: float
    """On the monotonic clock."""
    lines: int = 0
    last_text: str = ""
    last_correlation_id: str | None = None
    timer: threading.Timer | None = None
    """Set while there is something to tell at its end."""


_Template = tuple[str, int, str]
"""Logger, level, and the message before anything is put into it."""


class CountingHandler(logging.StreamHandler[TextIO]):
    """Writes the first lines of a template in each window, and at its end how many more came.

    Lines of level debug are all written: who asks for them looks for something. The thread that
    has something to say writes it (10 µs, or 5 to count it) and no other one later, so that the
    last words of a process that dies are read.
    """

    def __init__(self, stream: TextIO, window_s: float = WINDOW_S) -> None:
        """Write to `stream`; a window has `window_s` seconds."""
        super().__init__(stream)
        self._window_s = window_s
        self._windows: dict[_Template, _Window] = {}  # the oldest first

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it. Called with the handler's lock held."""
        try:
            if record.levelno <= logging.DEBUG or self._is_written(record):
                super().emit(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Write what is counted so far; the end of a process comes by here."""
        self.acquire()
        try:
            for template in list(self._windows):
                self._end_window(template)
        finally:
            self.release()
        super().close()

    def _is_written(self, record: logging.LogRecord) -> bool:
        template = (record.name, record.levelno, str(record.msg))
        window = self._current_window(template)
        window.lines += 1
        if window.lines <= FIRST_LINES:
            return True
        window.last_text = record.getMessage()  # not the record: it may hold a whole request
        window.last_correlation_id = getattr(record, "correlation_id", None)
        if window.timer is None:
            left_s = window.began + self._window_s - time.monotonic()
            window.timer = threading.Timer(left_s, self._on_timer, (template, window))
            window.timer.daemon = True
            window.timer.start()
        return False

    def _current_window(self, template: _Template) -> _Window:
        now = time.monotonic()
        window = self._windows.get(template)
        if window is not None and now < window.began + self._window_s:
            return window
        self._end_window(template)
        if len(self._windows) == MOST_TEMPLATES:
            self._end_window(next(iter(self._windows)))
        self._windows[template] = window = _Window(now)
        return window

    def _on_timer(self, template: _Template, window: _Window) -> None:
        self.acquire()
        try:
            if self._windows.get(template) is window:
                self._end_window(template)
        finally:
            self.release()

    def _end_window(self, template: _Template) -> None:
        """Forget a template's window, if it has one, and say how many lines were left out."""
        window = self._windows.pop(template, None)
        if window is None or window.timer is None:
            return
        window.timer.cancel()
        logger, level, _ = template
        more = window.lines - FIRST_LINES
        took_s = min(time.monotonic() - window.began, self._window_s)
        text = f"… and {more} more like it in {round(took_s, 1):g} s, the last: {window.last_text}"
        fields = {"name": logger, "levelno": level, "levelname": logging.getLevelName(level)}
        super().emit(
            logging.makeLogRecord(
                {**fields, "msg": text, **log_context(window.last_correlation_id)}
            )
        )
