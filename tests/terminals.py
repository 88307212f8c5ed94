"""Commands in a terminal of their own."""

import os
import pty
import subprocess
from pathlib import Path


class Terminal:
    """A command in a terminal of its own, whose stdout may go to a file instead."""

    def __init__(
        self, line: list[str], environment: dict[str, str], stdout: Path | None = None
    ) -> None:
        self._ours, theirs = pty.openpty()
        output = theirs if stdout is None else os.open(stdout, os.O_WRONLY | os.O_CREAT)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *line],
            env=environment | {"TERM": "xterm", "COLUMNS": "120"},
            stdin=theirs,
            stdout=output,
            stderr=theirs,
        )
        for descriptor in {theirs, output}:
            os.close(descriptor)
        self.shown = ""

    def type(self, key: bytes) -> None:
        os.write(self._ours, key)

    def read(self) -> bool:
        """Take in what it shows next; False at its end."""
        try:
            self.shown += os.read(self._ours, 65536).decode()
        except OSError:  # nobody has the other side any more
            os.close(self._ours)
            return False
        return True

    def read_until(self, text: str) -> None:
        while text not in self.shown:
            assert self.read(), self.shown

    def wait(self) -> int:
        """Read to the end; give the exit code."""
        while self.read():
            pass
        return self.process.wait(30)
