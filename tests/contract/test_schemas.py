"""The models, the JSON Schemas made from them, and the AsyncAPI document say the same."""

import base64
import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from fer_schemas import (
    MAX_FRAMES,
    MAX_NAME_LENGTH,
    BatchRequest,
    BatchResult,
    ContentType,
    EngineInfo,
    ErrorCode,
    Status,
)
from fer_worker.inference.types import EngineOptions
from scripts.generate_schemas import DIRECTORY, SOURCES, documented, generated

ASYNCAPI = DIRECTORY.parent / "asyncapi.yaml"
JPEG = b"\xff\xd8\xff\xfb\xfe\xff\xd9"


def document() -> Any:
    return yaml.safe_load(ASYNCAPI.read_text(encoding="utf-8"))


def json_schema(name: str) -> Any:
    return json.loads((DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))


def fits_json_schema(name: str, value: Any) -> bool:
    validator = jsonschema.Draft7Validator(json_schema(name), format_checker=None)
    return bool(validator.is_valid(value))


def fits_model(name: str, value: Any) -> bool:
    adapter, _ = SOURCES[name]
    try:
        adapter.validate_json(json.dumps(value))
    except ValidationError:
        return False
    return True


def request(**changes: Any) -> dict[str, Any]:
    """A JSON-encoded request that uses every field."""
    example = document()["components"]["messages"]["jsonBatch"]["examples"][0]["payload"]
    return {**copy.deepcopy(example), **changes}


def frame(**changes: Any) -> dict[str, Any]:
    return {"jpeg": base64.b64encode(JPEG).decode(), **changes}


# --- the files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.stem)
def test_generated_file_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generated()[path], (
        "run python -m scripts.generate_schemas"
    )


def test_no_other_json_schema_lies_around() -> None:
    assert set(DIRECTORY.glob("*")) == set(generated())


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.stem)
@pytest.mark.parametrize("dialect", [jsonschema.Draft7Validator, jsonschema.Draft202012Validator])
def test_json_schema_is_one_in_either_dialect(path: Path, dialect: Any) -> None:
    dialect.check_schema(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("enumeration", [ErrorCode, Status, ContentType])
def test_every_word_of_the_contract_is_documented(enumeration: Any) -> None:
    assert all(documented(enumeration).values())


@pytest.mark.parametrize("code", ErrorCode)
def test_json_schema_says_what_an_error_code_means(code: ErrorCode) -> None:
    description = json_schema("batch_result")["definitions"]["ErrorCode"]["description"]
    assert f"- `{code}`: {documented(ErrorCode)[code]}" in description


# --- the AsyncAPI document -----------------------------------------------------------------------


def references(node: Any) -> list[str]:
    match node:
        case dict():
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for value in node.values() for found in references(value)]
        case list():
            return [found for value in node for found in references(value)]
    return []


def test_asyncapi_references_lead_somewhere() -> None:
    for reference in references(document()):
        file, _, pointer = reference.partition("#")
        if file:
            assert (ASYNCAPI.parent / file).is_file(), reference
        node = document()
        for part in pointer.split("/")[1:]:
            node = node[part]


def test_asyncapi_uses_every_generated_schema() -> None:
    files = {
        (ASYNCAPI.parent / found).resolve() for found in references(document()) if ".json" in found
    }
    assert files == set(generated())


def test_asyncapi_names_every_content_type() -> None:
    messages = document()["channels"]["requests"]["messages"]
    declared = {document()["components"]["messages"][name]["contentType"] for name in messages}
    assert declared == set(ContentType)


@pytest.mark.parametrize(
    ("schema", "example"),
    [
        pytest.param(Path(message["payload"]["schema"]["$ref"]).stem, example["payload"], id=name)
        for name, message in document()["components"]["messages"].items()
        for example in message.get("examples", [])
    ],
)
def test_asyncapi_example_fits_its_schema_and_its_model(schema: str, example: Any) -> None:
    assert fits_json_schema(schema, example)
    adapter, _ = SOURCES[schema]
    read = adapter.validate_json(json.dumps(example))
    assert fits_json_schema(schema, json.loads(adapter.dump_json(read)))


# --- requests ------------------------------------------------------------------------------------


def test_request_is_read_in_json_and_from_the_map_that_msgpack_holds() -> None:
    encoded = request(frames=[frame(id="f-17")])
    from_json = BatchRequest.model_validate_json(json.dumps(encoded))
    from_map = BatchRequest.model_validate({**encoded, "frames": [{"jpeg": JPEG, "id": "f-17"}]})
    assert from_json == from_map
    assert from_json.frames[0].jpeg == JPEG


@pytest.mark.parametrize("encode", [base64.standard_b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", ["=", ""])
def test_both_base64_alphabets_are_read_padded_or_not(encode: Any, padding: str) -> None:
    text = encode(JPEG).decode().replace("=", padding)
    parsed = BatchRequest.model_validate_json(json.dumps(request(frames=[{"jpeg": text}])))
    assert parsed.frames[0].jpeg == JPEG


def test_request_needs_no_more_than_version_and_frames() -> None:
    least = {"version": 1, "frames": [frame()]}
    assert fits_json_schema("batch_request", least)
    assert fits_model("batch_request", least)


ACCEPTED = {
    "64 frames": request(frames=[frame()] * MAX_FRAMES),
    "nulls": request(camera_id=None, faces=None, sent_at=None, deadline=None),
    "the longest ids": request(
        camera_id="c" * MAX_NAME_LENGTH, frames=[frame(id="f" * MAX_NAME_LENGTH)]
    ),
    "an offset": request(sent_at="2026-11-23T11:00:00+01:00"),
    "all faces": request(faces="all"),
}
REFUSED: dict[str, Any] = {
    "no version": {"frames": [frame()]},
    "version 2": request(version=2),
    "version as text": request(version="1"),
    "no frames": request(frames=[]),
    "frames missing": {"version": 1},
    "65 frames": request(frames=[frame()] * (MAX_FRAMES + 1)),
    "frames as a map": request(frames={"0": frame()}),
    "a frame without jpeg": request(frames=[{"id": "f-17"}]),
    "jpeg as a number": request(frames=[frame(jpeg=1)]),
    "an unknown field": request(colour="red"),
    "an unknown field of a frame": request(frames=[frame(colour="red")]),
    "camera_id as a number": request(camera_id=1),
    "a camera_id too long": request(camera_id="c" * (MAX_NAME_LENGTH + 1)),
    "a frame id too long": request(frames=[frame(id="f" * (MAX_NAME_LENGTH + 1))]),
    "another choice of faces": request(faces="some"),
    "a time as a number": request(sent_at=1795428000),
    "a list": [],
    "null": None,
}
REFUSED_BY_THE_MODEL = {
    "a time without zone": request(sent_at="2026-11-23T10:00:00"),
    "a day": request(deadline="2026-11-23"),
    "a number of seconds as text": request(deadline="1795428000"),
    "no base64": request(frames=[frame(jpeg="***")]),
    "base64 with line breaks": request(frames=[frame(jpeg="/9j/\n/9j/")]),
}
"""What JSON Schema has no words for, or only as an annotation."""


@pytest.mark.parametrize("value", ACCEPTED.values(), ids=ACCEPTED)
def test_request_is_accepted(value: Any) -> None:
    assert fits_json_schema("batch_request", value)
    assert fits_model("batch_request", value)


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_request_is_refused(value: Any) -> None:
    assert not fits_json_schema("batch_request", value)
    assert not fits_model("batch_request", value)


@pytest.mark.parametrize("value", REFUSED_BY_THE_MODEL.values(), ids=REFUSED_BY_THE_MODEL)
def test_request_is_refused_by_the_model_alone(value: Any) -> None:
    assert not fits_model("batch_request", value)


@pytest.mark.parametrize("jpeg", ["text", base64.b64encode(JPEG).decode(), 1, None, [255, 216]])
def test_jpeg_in_a_map_is_bytes_and_nothing_else(jpeg: Any) -> None:
    with pytest.raises(ValidationError):
        BatchRequest.model_validate({"version": 1, "frames": [{"jpeg": jpeg}]})


@pytest.mark.parametrize("time", [1795428000, 1795428000.5, "1795428000", "2026-11-23T10:00:00"])
def test_time_in_a_map_is_a_string_with_a_zone(time: Any) -> None:
    with pytest.raises(ValidationError):
        BatchRequest.model_validate({"version": 1, "frames": [{"jpeg": JPEG}], "sent_at": time})


def test_refusal_holds_nothing_of_what_was_sent() -> None:
    with pytest.raises(ValidationError) as refusal:
        BatchRequest.model_validate({"version": 1, "frames": [{"jpeg": "my secret"}]})
    assert "secret" not in str(refusal.value)


# --- results and control -------------------------------------------------------------------------


def test_smallest_result_is_written_with_every_field() -> None:
    written = json.loads(BatchResult(status=Status.ERROR, worker="host/1").model_dump_json())
    assert set(written) == set(json_schema("batch_result")["required"])
    assert fits_json_schema("batch_result", written)


def test_result_of_a_newer_worker_is_read() -> None:
    newer = {"status": "success", "worker": "host/1", "mood_of_the_day": "fine"}
    assert BatchResult.model_validate(newer).status is Status.SUCCESS


def test_result_of_an_older_worker_is_read() -> None:
    older = {
        "name": "native",
        "faces": "first",
        "detector_color": "rgb",
        "min_face_probability": 0.9,
        "min_face_size": 20,
        "crop": "tight",
    }
    result = BatchResult.model_validate({"status": "success", "worker": "host/1", "engine": older})
    assert result.engine is not None
    assert result.engine.views == 1


@pytest.mark.parametrize("size", [20, "3%"])
def test_smallest_face_of_a_result_is_pixels_or_per_cent(size: int | str) -> None:
    engine = asdict(EngineOptions()) | {"min_face_size": size}
    written = BatchResult(
        status=Status.SUCCESS, worker="host/1", engine=EngineInfo.model_validate(engine)
    ).model_dump_json()
    assert json.loads(written)["engine"]["min_face_size"] == size
    assert fits_json_schema("batch_result", json.loads(written))
    assert fits_model("batch_result", json.loads(written))
    broken = json.loads(written)
    broken["engine"]["min_face_size"] = 3.5
    assert not fits_json_schema("batch_result", broken)
    assert not fits_model("batch_result", broken)


@pytest.mark.parametrize(
    "command",
    [
        {},
        {"kind": "stop"},
        {"processes": 3},
        {"kind": "scale", "processes": -1},
    ],
)
def test_command_is_refused(command: Any) -> None:
    assert not fits_json_schema("control_command", command)
    assert not fits_model("control_command", command)


@pytest.mark.parametrize("both", [{}, {"processes": 3, "change": 1}])
def test_scale_command_needs_one_of_processes_and_change(both: Any) -> None:
    assert not fits_model("control_command", {"kind": "scale", **both})
