"""docs/architecture.md draws the house that there is."""

import re
from collections.abc import Iterator
from pathlib import Path

from fer_worker.platform import system
from tests.pages import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOTS = [ROOT / "worker" / "fer_worker", ROOT / "client" / "fer_client", ROOT / "schemas"]


def drawn() -> Iterator[Path]:
    """The files and folders of the map, each below the folder that it is indented under."""
    section = PAGE.partition("\n## The map\n")[2]
    folders: dict[int, Path] = {}
    for line in section.split("```")[1].strip().splitlines():
        indent = len(line) - len(line.lstrip())
        parent = folders.get(indent - 2, ROOT)
        name, _, meaning = line.strip().partition(" ")
        folders[indent] = parent / name
        yield parent / name
        for other in re.findall(r"\b[a-z_]+\.py\b", meaning):
            yield (parent if name.endswith(".py") else parent / name) / other


def test_all_that_is_on_the_map_exists() -> None:
    assert [path for path in drawn() if not path.exists()] == []


def test_every_package_and_top_module_is_on_the_map() -> None:
    on_the_map = set(drawn())
    packages = {path.parent for root in ROOTS for path in root.glob("*/__init__.py")}
    packages |= {path.parent for path in ROOTS[0].glob("tools/*/__init__.py")}
    modules = set(ROOTS[0].glob("[a-z]*.py"))
    assert (packages | modules) - on_the_map == set()


def test_signals_of_a_supervisor_are_named() -> None:
    (paragraph,) = re.findall(r"- \*\*Signals\*\*: (.+?)\n- ", PAGE, flags=re.DOTALL)
    if hasattr(system, "HANDLED_SIGNALS"):  # not on Windows
        assert set(re.findall(r"SIG[A-Z]+", paragraph)) == {
            number.name for number in system.HANDLED_SIGNALS
        }
