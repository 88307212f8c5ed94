import logging

from worker.logs import _LineFormatter


def test_text_of_a_sender_forges_no_line_and_no_colour() -> None:
    text = "door-1\n2026-11-23T10:00:00Z INFO all is well\x1b[31m\u202e\x00 ünïcode"
    record = logging.LogRecord("x", logging.INFO, "", 1, "buried %s", (text,), None)
    line = _LineFormatter("%(message)s").format(record)
    assert line == (
        "buried door-1\\n2026-11-23T10:00:00Z INFO all is well\\x1b[31m\\u202e\\x00 ünïcode"
    )
