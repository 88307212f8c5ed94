"""The lines that docs/troubleshooting.md and protocol.md quote are those that the code prints."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.pages import ROOT, fenced

PAGE = ROOT / "docs" / "troubleshooting.md"
PROTOCOL = ROOT / "docs" / "protocol.md"

NOT_OURS = {
    "Corrupt JPEG data: premature end of data segment",  # libjpeg
}

BEFORE = re.compile(r"fer-worker: |[\d-]+T[\d:.]+Z (?:WARNING|ERROR) +\[[\w.-]+/\d+\] ")
"""What the command line, or a log, puts before a text."""

PLACEHOLDER = re.compile(r"%[.\d]*[sdrfg]")

LEAST_LITERAL = 12
"""Characters of a text without its placeholders; fewer would match anything."""


def texts_of_the_source() -> Iterator[str]:
    """All string literals of the code that runs, placeholders as `%s`; and lines of the scripts."""
    sources = [
        *(ROOT / "worker").rglob("*.py"),
        *(ROOT / "client").rglob("*.py"),
        ROOT / "examples" / "raw_pika_controller.py",
    ]
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Constant(value=str(text)):
                    yield text
                case ast.JoinedStr(values=parts):
                    yield "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "%s"
                        for part in parts
                    )
    for path in (ROOT / "scripts").glob("*.sh"):
        yield from re.findall(r'echo "([^"$]+)', path.read_text(encoding="utf-8"))


TEXTS = [text for text in texts_of_the_source() if len(PLACEHOLDER.sub("", text)) >= LEAST_LITERAL]
PATTERNS = [re.compile(".+".join(map(re.escape, PLACEHOLDER.split(text)))) for text in TEXTS]

QUOTED = [line for block in fenced(PAGE, "text") for line in block.splitlines()]
QUOTED += re.findall(r'"message": "(.+?)"', PROTOCOL.read_text(encoding="utf-8"))


@pytest.mark.parametrize("line", sorted(set(QUOTED) - NOT_OURS))
def test_a_quoted_line_is_said_by_the_code(line: str) -> None:
    said = [line, BEFORE.sub("", line, count=1)]
    assert any(pattern.match(text) for text in said for pattern in PATTERNS) or any(
        whole.startswith(said[1]) for whole in TEXTS
    )


def test_lines_are_quoted() -> None:
    assert len(QUOTED) > 20
