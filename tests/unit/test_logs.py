"""Log lines: their forms, and what becomes of those that are repeated."""

import io
import json
import logging
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Collection

from fer_worker.logging_setup import (
    FIRST_LINES,
    MOST_TEMPLATES,
    RepeatedLines,
    formatter,
    log_context,
)

FORGED = "door-1\n2026-11-23T10:00:00Z INFO all is well\x1b[31m\u202e\x00 ünïcode"


def record(text: str, *arguments: object, **fields: object) -> logging.LogRecord:
    known = {"name": "worker.x", "levelname": "INFO", "levelno": logging.INFO}
    return logging.makeLogRecord({**known, "msg": text, "args": arguments, **fields})


def test_line_of_text_has_its_correlation_id_at_its_end() -> None:
    line = formatter("host/1", "text").format(record("taken from %s", "q", **log_context("6f1a")))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    \[host/1\] taken from q "
        r"correlation_id=6f1a",
        line,
    )


def test_line_about_no_request_names_none() -> None:
    assert "correlation_id" not in formatter("host/1", "text").format(record("x"))
    assert "correlation_id" not in formatter("host/1", "json").format(
        record("x", **log_context(None))
    )


def test_text_of_a_sender_forges_no_line_and_no_colour() -> None:
    line = formatter("host/1", "text").format(
        record("dead-lettered %s", FORGED, **log_context("a\nb"))
    )
    assert line.endswith(
        "dead-lettered door-1\\n2026-11-23T10:00:00Z INFO all is well\\x1b[31m\\u202e\\x00 ünïcode "
        "correlation_id=a\\nb"
    )


def failure(text: str) -> logging.LogRecord:
    try:
        raise ValueError(text)
    except ValueError:
        return record("unexpected fault", exc_info=sys.exc_info())


def test_text_of_an_exception_forges_no_line_either() -> None:
    first, *others = formatter("host/1", "text").format(failure(FORGED)).split("\n")
    assert first.endswith("unexpected fault")
    assert others[-1] == "    2026-11-23T10:00:00Z INFO all is well\\x1b[31m\\u202e\\x00 ünïcode"
    assert all(line.startswith("    ") for line in others)


def test_json_has_a_field_for_each_thing() -> None:
    line = formatter("host/1", "json").format(
        record("dead-lettered %s", FORGED, **log_context("a\nb"))
    )
    assert line.isascii()
    assert line.isprintable()
    fields = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields.pop("time"))
    assert fields == {
        "level": "INFO",
        "logger": "worker.x",
        "message": f"dead-lettered {FORGED}",
        "worker": "host/1",
        "correlation_id": "a\nb",
    }


def test_json_has_the_text_of_an_exception() -> None:
    fields = json.loads(formatter("host/1", "json").format(failure("of the engine")))
    assert fields["message"] == "unexpected fault"
    assert fields["exception"].startswith("Traceback")
    assert fields["exception"].endswith("ValueError: of the engine")


class Log:
    """A logger of its own, and what it writes."""

    def __init__(self, window_s: float = 1000.0, all_of: Collection[str] = ()) -> None:
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.addFilter(RepeatedLines(all_of, window_s))
        self.logger = logging.Logger("worker.x")
        self.logger.addHandler(self.handler)

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()


def test_first_ten_lines_of_a_template_are_written() -> None:
    log = Log()
    for number in range(1000):
        log.logger.warning("dead-lettered %d", number)
    assert log.lines == [f"dead-lettered {number}" for number in range(10)]


def test_next_line_that_is_written_tells_how_many_were_not() -> None:
    log = Log(window_s=0.5)
    while len(log.lines) <= FIRST_LINES:
        log.logger.warning("dead-lettered %s", "100 %")
    told = re.fullmatch(r"dead-lettered 100 % \(and (\d+) more like it before\)", log.lines[-1])
    assert told is not None
    assert int(told[1]) > 0
    log.logger.warning("dead-lettered %s", "after it")
    assert log.lines[-1] == "dead-lettered after it"


def test_another_template_level_or_logger_is_counted_by_itself() -> None:
    log = Log()
    other = logging.Logger("worker.y")
    other.addHandler(log.handler)
    says: list[Callable[[str], None]] = [log.logger.warning, log.logger.error, other.warning]
    for _ in range(100):
        for say in says:
            say("full")
    log.logger.warning("gone")
    assert len(log.lines) == 3 * FIRST_LINES + 1


def test_lines_for_debugging_and_of_an_exempt_logger_are_all_written() -> None:
    log, access = Log(), Log(all_of=["worker.x"])
    for _ in range(100):
        log.logger.debug("taken")
        access.logger.info("GET /")
    assert (len(log.lines), len(access.lines)) == (100, 100)


def test_templates_without_end_take_no_memory_without_end() -> None:
    log = Log()
    tracemalloc.start()
    try:
        for number in range(20 * MOST_TEMPLATES):
            log.handler.filter(record(f"made up {number} {'x' * 1000}"))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2000 * MOST_TEMPLATES


def test_counted_lines_are_told_when_the_process_ends() -> None:
    program = """
import logging
from fer_worker.logging_setup import setup_logs
setup_logs("host/1")
for number in range(1000):
    logging.warning("dead-lettered %d", number)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    *_, last = done.stderr.splitlines()
    assert last.endswith(" and 990 more like it, the last: dead-lettered 999")
    assert done.stderr.count("\n") == 11
