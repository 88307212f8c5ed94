"""Log lines: their forms, and what becomes of those that are repeated."""

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable

from fer_worker.logging_setup import (
    FIRST_LINES,
    MOST_TEMPLATES,
    CountingHandler,
    formatter,
    log_context,
)
from tests.waiting import wait_until

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

    def __init__(self, window_s: float = 1000.0) -> None:
        self._stream = io.StringIO()
        self.handler = CountingHandler(self._stream, window_s)
        self.handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self.logger = logging.Logger("worker.x")
        self.logger.addHandler(self.handler)

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()

    def accounts_for(self, lines: int) -> bool:
        """Whether so many were written or counted."""
        more = [re.search(r"… and (\d+) more like it", line) for line in self.lines]
        return sum(int(found[1]) if found else 1 for found in more) == lines


def test_first_ten_lines_of_a_template_are_written_and_the_rest_is_counted() -> None:
    log = Log()
    for number in range(1000):
        log.logger.warning("dead-lettered %d", number, extra=log_context(str(number)))
    assert log.lines == [f"worker.x WARNING dead-lettered {number}" for number in range(10)]
    log.handler.setFormatter(formatter("host/1", "json"))
    log.handler.close()
    told = json.loads(log.lines[10])
    assert re.fullmatch(
        r"… and 990 more like it in \d+(\.\d)? s, the last: dead-lettered 999", told["message"]
    )
    assert (told["level"], told["logger"]) == ("WARNING", "worker.x")
    assert told["correlation_id"] == "999"
    assert len(log.lines) == 11


def test_counted_lines_are_told_when_nothing_more_comes() -> None:
    log = Log(window_s=0.2)
    for number in range(1000):
        log.logger.warning("dead-lettered %d", number)
    wait_until(lambda: log.accounts_for(1000), what="every line is written or counted")


def test_new_window_begins_with_lines_again() -> None:
    log = Log(window_s=0.2)
    for number in range(1000):
        log.logger.warning("dead-lettered %d", number)
    wait_until(lambda: log.accounts_for(1000), what="the window has ended")
    log.logger.warning("dead-lettered %s", "after it")
    assert log.lines[-1] == "worker.x WARNING dead-lettered after it"


def test_what_is_written_ten_times_needs_no_number() -> None:
    log = Log()
    for number in range(FIRST_LINES):
        log.logger.warning("dead-lettered %d", number)
    log.handler.close()
    assert len(log.lines) == FIRST_LINES


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


def test_lines_for_debugging_are_all_written() -> None:
    log = Log()
    for _ in range(100):
        log.logger.debug("taken")
    assert len(log.lines) == 100


def test_templates_without_end_take_no_memory_without_end() -> None:
    log = Log()
    for number in range(10 * MOST_TEMPLATES):
        for _ in range(FIRST_LINES + 1):
            log.logger.warning(f"made up {number}")
    assert len(log.handler._windows) == MOST_TEMPLATES
    log.handler.close()
    assert log.accounts_for(10 * MOST_TEMPLATES * (FIRST_LINES + 1))


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
    assert re.search(r"… and 990 more like it in \d+(\.\d)? s, the last: dead-lettered 999$", last)
    assert done.stderr.count("\n") == 11
