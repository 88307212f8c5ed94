"""`docs/protocol.md` says what the schemas say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fer_client.amqp.topology import Topology
from fer_schemas import ErrorCode
from scripts.generate_schemas import SOURCES, documented

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")


def test_error_codes_are_explained_in_the_words_of_the_enum() -> None:
    section = PAGE.partition("## Error codes")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, flags=re.MULTILINE))
    assert rows == documented(ErrorCode)


@pytest.mark.parametrize("text", re.findall(r"```json\n(.+?)```", PAGE, flags=re.DOTALL))
def test_example_fits_its_model(text: str) -> None:
    value: dict[str, Any] = json.loads(text)
    match value:
        case {"kind": _, "pid": _}:
            name = "control_reply"
        case {"kind": _}:
            name = "control_command"
        case {"status": _}:
            name = "batch_result"
        case _:
            name = "batch_request"
    adapter, _ = SOURCES[name]
    adapter.validate_json(text)


def test_every_queue_is_named() -> None:
    for queue in Topology().queues:
        assert f"| `{queue}` |" in PAGE
