"""`docs/video.md` says what `submit` does and what is in its rows."""

import re
import shlex
from pathlib import Path

import pytest

from fer_worker.cli.submit import submit
from fer_worker.tools.face_table import BATCH_ERRORS, Row
from fer_worker.tools.media import CLIP_SUFFIXES, PICTURE_SUFFIXES

PAGE = (Path(__file__).parents[2] / "docs" / "video.md").read_text(encoding="utf-8")


def test_columns_are_those_of_a_row_in_their_order() -> None:
    section = PAGE.partition("## Output")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", section, flags=re.MULTILINE)
    assert rows == [(name, field.description) for name, field in Row.model_fields.items()]


def test_errors_of_batches_are_named() -> None:
    for code in (*BATCH_ERRORS.values(), "failed"):
        assert f"`{code}`" in PAGE


def test_kinds_of_files_are_named() -> None:
    section = PAGE.partition("## Sources")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(\.\w+)`", section)) == PICTURE_SUFFIXES | CLIP_SUFFIXES


@pytest.mark.parametrize("line", re.findall(r"^fer-worker submit (.+)$", PAGE, flags=re.MULTILINE))
def test_commands_are_understood(line: str) -> None:
    submit.make_context("submit", shlex.split(line, comments=True))


def test_options_that_are_named_exist() -> None:
    options = {option for parameter in submit.params for option in parameter.opts}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= options
