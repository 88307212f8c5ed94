"""The Windows of `make test-windows`, and that nothing of it stays behind."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.windows.programs import BUILD


@pytest.fixture(scope="session", autouse=True)
def wine() -> Iterator[None]:
    """End Wine with the tests, also where one of them has failed."""
    assert (BUILD / "prefix.made").exists(), "`make test-windows` makes what these tests run in"
    yield
    wineserver = str(BUILD / "bin" / "wineserver")
    subprocess.run([wineserver, "--kill"])
    subprocess.run([wineserver, "--wait"], check=True, timeout=60)
