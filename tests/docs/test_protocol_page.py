"""`docs/protocol.md` says what the schemas say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fer_client.amqp.properties import MAX_NESTING
from fer_client.amqp.topology import Topology
from fer_schemas import MAX_FRAMES, MAX_NAME_LENGTH, BatchRequest, BatchResult, ErrorCode
from fer_schemas.request import Frame
from fer_schemas.result import FaceResult, FrameResult, RequestError, Timings
from fer_worker.limits import DEFAULT_LIMITS, MAX_HEADER_BYTES, MAX_VALUES, MIN_FRAME_SIDE
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


@pytest.mark.parametrize(
    ("title", "models"),
    [
        ("Its fields", (BatchRequest, Frame)),
        ("The result", (BatchResult, FrameResult, FaceResult, RequestError, Timings)),
    ],
)
def test_every_field_is_explained(title: str, models: tuple[type[BaseModel], ...]) -> None:
    section = re.split(rf"^##+ {title}$", PAGE, flags=re.MULTILINE)[1].partition("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    named = {name.rpartition(".")[2] for name in re.findall(r"`([\w.\[\]]+)`", table)}
    assert {name for model in models for name in model.model_fields} <= named


def test_limits_are_those_of_the_code() -> None:
    section = PAGE.partition("\n### Its limits\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|", section, flags=re.MULTILINE))
    limits, frame, million = DEFAULT_LIMITS, DEFAULT_LIMITS.frame, 10**6
    assert (
        rows.items()
        >= {
            "body of a message": f"{limits.max_bytes // 2**20} MiB",
            "headers, as they are on the wire": f"{MAX_HEADER_BYTES // 2**10} KiB",
            "tables and lists within each other in headers": f"{MAX_NESTING}",
            "values in all lists and maps of a body": f"{MAX_VALUES:,}",
            "frames in a batch": f"{MAX_FRAMES}",
            "pixels of a batch, by its headers": f"{limits.max_pixels // million} million",
            "`camera_id`, `id`": f"{MAX_NAME_LENGTH} characters",
            "bytes of a frame": f"{frame.max_bytes // 2**20} MiB",
            "pixels of a frame, by its header": f"{frame.max_pixels // million} million",
            "shorter side of a frame": f"at least {MIN_FRAME_SIDE} pixels",
        }.items()
    )


def test_every_queue_is_named() -> None:
    for queue in Topology().queues:
        assert f"| `{queue}` |" in PAGE
