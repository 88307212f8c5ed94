"""An ordinary user of a Debian that scripts/make_debian.sh has made."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
NOBODY: Final = 65534


class User:
    """A home in a Debian, and commands that are run there as nobody, by their own process id."""

    def __init__(self, root: Path, home: Path) -> None:
        """Store where the Debian and the home are, as this system sees them."""
        self._root = root
        self.home = home

    def command(self, *arguments: str, environment: Mapping[str, str] | None = None) -> list[str]:
        """The command line that runs a command there: in the home, in a clean environment."""
        home = f"/{self.home.relative_to(self._root)}"
        variables = {"HOME": home, "LANG": "C.UTF-8", "PATH": f"{home}/venv/bin:/usr/bin:/bin"}
        variables |= environment or {}
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        clean = ["env", "-i", f"--chdir={home}", *(f"{k}={v}" for k, v in variables.items())]
        inside = [str(ROOT / "scripts" / "in_debian.sh"), str(self._root)]
        return [*inside, *become, *clean, *arguments]

    def run(
        self, *arguments: str, environment: Mapping[str, str] | None = None, code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, which must have that exit code."""
        line = self.command(*arguments, environment=environment)
        done = subprocess.run(line, capture_output=True, text=True, timeout=180)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def bring(self, *paths: Path) -> None:
        """Copy files into the home."""
        for path in paths:
            shutil.copy(path, self.home)
            os.chown(self.home / path.name, NOBODY, NOBODY)


@contextmanager
def user_of(name: str) -> Iterator[User]:
    """A new home in one of the systems in build/; the test is skipped where there is none."""
    root = ROOT / "build" / name / "root"
    if not root.with_name("root.made").exists() or os.getuid() != 0:
        pytest.skip(f"no build/{name}: `make test-wheels` and `make test-program` make it, as root")
    with tempfile.TemporaryDirectory(dir=root / "home") as home:
        os.chown(home, NOBODY, NOBODY)
        yield User(root, Path(home))
