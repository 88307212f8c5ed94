"""A shell that is given commands one by one, as a reader of a page types them."""

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.waiting import wait_until

DONE = "\x1fdone "
"""Begins the line that follows what a command printed; its exit code ends it."""


class Shell:
    """One bash: variables, folders and jobs are those that earlier commands left.

    Commands have nothing to read from, and a process group each, as in a terminal.
    """

    def __init__(self, folder: Path, environment: dict[str, str], transcript: Path) -> None:
        """Store what is needed.

        Args:
            folder: where it starts.
            environment: all of it.
            transcript: a file for all that is printed.
        """
        self._folder = folder
        self._environment = environment
        self._transcript = transcript
        self._start = 0

    def __enter__(self) -> "Shell":
        with self._transcript.open("wb") as output:
            self._process = subprocess.Popen(
                ["bash", "--norc"],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.run("set -m")  # a process group for each job; without a terminal bash ignores -m
        return self

    def __exit__(self, *_: object) -> None:
        """End whatever still runs in it."""
        self._process.kill()
        self._process.communicate()
        for group in self._groups():
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(group, signal.SIGKILL)

    def run(self, command: str, timeout_s: float = 60.0) -> tuple[int, str]:
        """Run a command to its end, or to its start if it ends in `&`.

        Returns:
            Its exit code, and what came on stdout and stderr meanwhile, of background jobs too.
        """
        self._start = self._transcript.stat().st_size
        assert self._process.stdin is not None
        line = f"{{ {command}\n}} </dev/null; printf '\\n{DONE}%d\\n' $?\n"
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()

        def ended() -> re.Match[str] | None:
            printed = self._printed()
            assert self._process.poll() is None, f"the shell ended: {command}"
            return re.match(rf"(.*)\n{DONE}(\d+)\n", printed, flags=re.DOTALL)

        found = wait_until(ended, timeout_s, f"{command} ends")
        assert found is not None
        return int(found[2]), found[1]

    def wait_for(self, text: str, timeout_s: float = 60.0) -> str:
        """Wait until a background job has printed a text since the last command; return all of it.

        Raises:
            AssertionError: not in time.
        """
        wait_until(lambda: text in self._printed(), timeout_s, f"{text!r} is printed")
        return self._printed()

    def interrupt(self) -> None:
        """Press Ctrl-C in the terminal of each job, the last one first, and wait until it has left.

        Raises:
            AssertionError: one left with another code than 0, or left processes behind.
        """
        _, printed = self.run(
            "jobs=($(jobs -p)); for ((i = ${#jobs[@]}; i--; )); do "
            "kill -INT -- -${jobs[i]}; wait ${jobs[i]} || echo job left with $?; done"
        )
        assert "job left with" not in printed, printed
        wait_until(lambda: not self._groups(), what="nothing is left behind")

    def _printed(self) -> str:
        """All since the start of the last command."""
        with self._transcript.open("rb") as transcript:
            transcript.seek(self._start)
            return transcript.read().decode(errors="replace")

    def _groups(self) -> set[int]:
        """Process groups of the session that are alive."""
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                # After the name in parentheses: state, parent, group, session.
                stat = (process / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            if int(stat[3]) == self._process.pid != int(stat[2]) and stat[0] != "Z":
                found.add(int(stat[2]))
        return found
