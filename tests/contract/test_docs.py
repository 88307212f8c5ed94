"""The documents name files, commands and records that exist."""

import re
from pathlib import Path

import pytest

from worker.cli import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECORDS = ROOT / "docs" / "decisions"

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_readme_lists_every_command_and_no_other() -> None:
    section = README.partition("\n## Commands\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", section, flags=re.MULTILINE) == list(COMMANDS)


def test_every_command_that_the_readme_runs_exists() -> None:
    blocks = "".join(re.findall(r"```sh\n(.+?)```", README, flags=re.DOTALL))
    named = re.findall(r"(?:^|worker )fer-worker ([a-z][\w-]*)", blocks, flags=re.MULTILINE)
    assert named
    assert set(named) <= set(COMMANDS)


def test_index_lists_every_decision_record_under_its_own_title() -> None:
    index = (RECORDS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.+?) \|", index, flags=re.MULTILINE)
    titles = []
    for path in sorted(RECORDS.glob("[0-9]*.md")):
        number, _, title = path.read_text(encoding="utf-8").partition("\n")[0].partition(": ")
        titles.append((number.removeprefix("# "), path.name, title))
    assert listed == titles
