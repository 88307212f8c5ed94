"""The documents name files, commands and records that exist."""

import re
from pathlib import Path

import pytest

from fer_worker import __version__
from fer_worker.cli import COMMANDS
from tests.commands import check
from tests.pages import PAGES, ROOT, blocks

README = (ROOT / "README.md").read_text(encoding="utf-8")
RECORDS = ROOT / "docs" / "decisions"

EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
FOLDERS = (
    "worker/",
    "client/",
    "schemas/",
    "tests/",
    "docs/",
    "deploy/",
    "scripts/",
    "benchmarks/",
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@EVERY_PAGE
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@EVERY_PAGE
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    if page.parent == RECORDS or page.name == "CHANGELOG.md":
        return  # they keep the names of their time
    for name in re.findall(r"`([\w./-]+)`", page.read_text(encoding="utf-8")):
        if name.startswith(FOLDERS):
            assert (ROOT / name).exists(), name
        elif re.fullmatch(r"test_\w+\.py", name):
            assert list((ROOT / "tests").rglob(name)), name


def test_operators_find_every_command_and_no_other() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = page.partition("\n## Commands\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", section, flags=re.MULTILINE) == list(COMMANDS)


@EVERY_PAGE
def test_every_command_of_a_page_exists_and_takes_what_it_is_given(page: Path) -> None:
    for block in blocks(page):
        for command in block.commands:
            check(command)


def test_readme_has_the_figures_of_the_benchmarks() -> None:
    """They are rounded down, so that it never says more."""
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")

    def row(name: str) -> list[str]:
        cells, *_ = re.findall(rf"^\| {name} \| (.+) \|$", page, flags=re.MULTILINE)
        return str(cells).split(" | ")

    def ratio(name: str) -> int:
        return int(float(re.findall(r"\(([\d.]+)x\)", row(name)[3])[0]))

    fer, ours = (
        int(row(name)[1].replace(",", "")) for name in ("fer, threads", "fer-worker, first face")
    )
    part = {10: "a tenth", 11: "an eleventh", 12: "a twelfth"}[fer // ours]
    all_faces, first_face = "all faces, mixed set", "first face, mixed set"
    for claim in (
        f"{ratio(all_faces)} times the frames/s for all faces",
        f"{ratio(first_face)} times for the largest one of each frame",
        f"{ratio(f'{all_faces}, avx2 only')} and {ratio(f'{first_face}, avx2 only')} times",
        f"{part} of the memory",
    ):
        assert claim in " ".join(README.split())


def test_pages_and_changelog_name_this_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[([\d.]+)\]", changes, flags=re.MULTILINE)[0] == __version__
    named = re.compile(
        r"(?:fer-worker:|(?:sign|main) v|newTag: |\"software\": \"|software: )(\d+\.\d+\.\d+)"
    )
    for page in (*PAGES, ROOT / "schemas" / "fer_schemas" / "asyncapi.yaml"):
        assert set(named.findall(page.read_text(encoding="utf-8"))) <= {__version__}, page


def test_index_lists_every_decision_record_under_its_own_title() -> None:
    index = (RECORDS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.+?) \|", index, flags=re.MULTILINE)
    titles = []
    for path in sorted(RECORDS.glob("[0-9]*.md")):
        number, _, title = path.read_text(encoding="utf-8").partition("\n")[0].partition(": ")
        titles.append((number.removeprefix("# "), path.name, title))
    assert listed == titles
