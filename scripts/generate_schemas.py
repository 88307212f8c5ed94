"""Write the JSON Schemas of the wire contract from the pydantic models.

    python -m scripts.generate_schemas            writes schemas/json/*.json
    python -m scripts.generate_schemas --check    exits with 1 if they are not what it would write

The dialect is draft-07, the one that AsyncAPI 3 builds on, in words that mean the same in
2020-12: any validator can read them.
"""

import argparse
import ast
import inspect
import json
import sys
from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

import fer_schemas
from fer_schemas.control import CONTROL_COMMAND, CONTROL_REPLY
from fer_schemas.request import BatchRequest, Frame
from fer_schemas.result import BatchResult
from fer_schemas.vocabulary import ErrorCode, Status

DIRECTORY: Final = Path(fer_schemas.__file__).parent / "json"

SOURCES: Final[Mapping[str, tuple[TypeAdapter[Any], JsonSchemaMode]]] = {
    "batch_request": (TypeAdapter(BatchRequest), "validation"),
    "batch_result": (TypeAdapter(BatchResult), "serialization"),
    "control_command": (CONTROL_COMMAND, "validation"),
    "control_reply": (CONTROL_REPLY, "serialization"),
}
"""File name to what it describes: what we read in `validation`, what we write in the other."""


def documented(enumeration: type[StrEnum]) -> dict[str, str]:
    """Values of an enum with the docstring that follows each; without one, the empty text."""
    (definition,) = ast.parse(inspect.getsource(enumeration)).body
    assert isinstance(definition, ast.ClassDef)
    texts = dict.fromkeys((member.value for member in enumeration), "")
    for member, below in pairwise(definition.body):
        match member, below:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[enumeration[name].value] = " ".join(text.split())
    return texts


class _Draft07(GenerateJsonSchema):
    """Pydantic's schemas said in draft-07: field titles left out, documented enums spelled out."""

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        # Fields stay in the order in which the models have them.
        return value

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def field_is_required(self, field: Any, total: bool) -> bool:
        # What we write always has every field; `kind`, which has but one value, tells commands
        # apart and is needed whatever the model's default.
        inner = field["schema"]
        is_tag = inner["type"] == "default" and inner["schema"]["type"] == "literal"
        return self.mode == "serialization" or is_tag or super().field_is_required(field, total)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        # What a field's default is belongs to its description; `required` says the rest.
        return self.generate_inner(schema["schema"])

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        return {"type": "string", "contentEncoding": "base64"}

    def tuple_schema(self, schema: core_schema.TupleSchema) -> JsonSchemaValue:
        # `prefixItems` came after draft-07; tuples of one type do without it.
        json_schema = super().tuple_schema(schema)
        if prefix := json_schema.pop("prefixItems", None):
            json_schema["items"], *others = prefix
            assert all(other == json_schema["items"] for other in others)
        return json_schema

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        # OpenAPI's `discriminator` object is none of JSON Schema's; `oneOf` and `const` say it all.
        json_schema = super().tagged_union_schema(schema)
        json_schema.pop("discriminator", None)
        return json_schema

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        json_schema = super().generate(schema, mode)
        definitions = json_schema.pop("$defs", {})
        for enumeration in (Status, ErrorCode):
            if definition := definitions.get(enumeration.__name__):
                texts = [f"- `{value}`: {text}" for value, text in documented(enumeration).items()]
                definition["description"] += "\n\n" + "\n".join(texts)
        dialect = "http://json-schema.org/draft-07/schema#"
        return {"$schema": dialect, **json_schema, "definitions": definitions}


def _jpeg_headers(request: JsonSchemaValue) -> JsonSchemaValue:
    """The headers of an `image/jpeg` message: the fields of a batch of one without its pixels."""
    frame = request["definitions"][Frame.__name__]
    fields = {**request["properties"], **frame["properties"]}
    del fields["frames"], fields["jpeg"]
    return {
        "$schema": request["$schema"],
        "title": "JpegHeaders",
        "description": "Headers of an `image/jpeg` message. None is needed, others are ignored.",
        "type": "object",
        "properties": fields,
    }


def generated() -> dict[Path, str]:
    """Every file of `schemas/json` with the text it should have."""
    documents = {
        name: adapter.json_schema(
            mode=mode, schema_generator=_Draft07, ref_template="#/definitions/{model}"
        )
        for name, (adapter, mode) in SOURCES.items()
    }
    documents["jpeg_headers"] = _jpeg_headers(documents["batch_request"])
    return {
        DIRECTORY / f"{name}.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in documents.items()
    }


def main() -> None:
    """Write the files, or with `--check` only compare them."""
    parser = argparse.ArgumentParser(prog="python -m scripts.generate_schemas")
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 on drift")
    check = parser.parse_args().check

    files = generated()
    if check:
        drifted = [
            path.name
            for path, text in files.items()
            if not path.exists() or path.read_text(encoding="utf-8") != text
        ]
        if drifted:
            sys.exit(
                f"not as generated: {', '.join(drifted)}; run python -m scripts.generate_schemas"
            )
        return
    DIRECTORY.mkdir(exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
