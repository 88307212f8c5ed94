"""The shell commands in the project's pages, and what the pages say that they print."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[1]

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
"""A fenced block: its language and its text."""


@dataclass(frozen=True)
class Block:
    """A fenced block of `sh`, and the block of `text` right after it."""

    commands: tuple[str, ...]
    """As they are written, without comments; lines that end in a backslash are joined."""
    output: str
    """What the page says that they print, or nothing."""


def fenced(page: Path, language: str) -> list[str]:
    """The blocks of a page in one language."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for name, text in found if name == language]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of `sh` of a page, in order."""
    text = page.read_text(encoding="utf-8")
    fences = list(FENCE.finditer(text))
    for fence, following in zip_longest(fences, fences[1:]):
        if fence[1] != "sh":
            continue
        is_output = (
            following is not None
            and following[1] == "text"
            and not text[fence.end() : following.start()].strip()
        )
        yield Block(_commands(fence[2]), following[2] if following and is_output else "")


def _commands(text: str) -> tuple[str, ...]:
    lines = text.replace("\\\n", " ").splitlines()
    bare = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
    return tuple(re.sub(r"\s+", " ", line) for line in bare if line)


def pattern_of(shown: str) -> re.Pattern[str]:
    """What matches a line of output that is like the one a page shows.

    Numbers, ids and hosts differ from run to run; so do spaces and rules, with what is in a table.
    `…` stands for anything.
    """
    return re.compile(".*".join(re.escape(part) for part in normal(shown).split("…")))


def normal(line: str) -> str:
    """A line of output without what differs from run to run."""
    line = re.sub(r"[\w.-]+/\d+\b", "HOST/PID", line)
    line = re.sub(r"\b(?=[a-f]*\d)[0-9a-f]{8,}\b", "ID", line)
    line = re.sub(r"\d+(?:[.:]\d+)*", "N", line)
    return re.sub(r"─+", "─", re.sub(r"\s+", " ", line)).strip()


def missing(shown: str, printed: str) -> str | None:
    """The first line that a page shows and that was not printed, in the order shown."""
    lines = iter([normal(line) for line in printed.splitlines()])
    for line in filter(str.strip, shown.splitlines()):
        if not any(pattern_of(line).fullmatch(candidate) for candidate in lines):
            return line
    return None
