"""Several hosts on this machine: each has a network and a name of its own, and a line to us.

Everything is in namespaces that nobody else sees and that have no names, so runs do not meet, and
the kernel removes all of it with the last process in it. Linux, as root.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

CLONE_NEWNET = 0x40000000  # linux/sched.h

_libc = ctypes.CDLL(None, use_errno=True)  # Python has `os.unshare` and `os.setns` from 3.12 on

NEW_HOST = ("unshare", "--net", "--uts", "sh", "-c")
NAME_IT = "echo {name} > /proc/sys/kernel/hostname"


def why_none() -> str | None:
    """Say why no hosts can be made here; None where they can."""
    attempt = f"{NAME_IT.format(name='any')} && ip link add one type veth peer name other"
    try:
        tried = subprocess.run([*NEW_HOST, attempt], capture_output=True, text=True)
    except FileNotFoundError as error:
        return f"no network namespaces: {error}"
    return f"no network namespaces: {tried.stderr.strip()}" if tried.returncode else None


@contextmanager
def own_network() -> Iterator[None]:
    """Give this thread, and all that it starts from now on, an empty network until the block ends.

    Ports and addresses are free there, whatever else runs on this machine.
    """
    with open("/proc/thread-self/ns/net") as before:  # noqa: PTH123 - a link to no path
        _check(_libc.unshare(CLONE_NEWNET))
        try:
            _run("ip", "link", "set", "lo", "up")
            yield
        finally:
            _check(_libc.setns(before.fileno(), CLONE_NEWNET))


class Host:
    """One host beside the network of this thread. A context manager."""

    def __init__(self, name: str, number: int) -> None:
        """Store what it is to be.

        Args:
            name: its host name, and that of our end of its line.
            number: no other host here has it; 0 to 255.
        """
        self.name = name
        self.our_address = f"10.0.{number}.1"
        """Where it reaches us."""
        self._its_address = f"10.0.{number}.2"

    def __enter__(self) -> Self:
        # The namespaces live as long as this process, which ends when we do.
        start = f"{NAME_IT.format(name=self.name)} && ip link set lo up && echo there && read -r _"
        self._anchor = subprocess.Popen(
            [*NEW_HOST, start], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            assert self._anchor.stdout is not None
            assert self._anchor.stdout.readline() == b"there\n"
            self._lay_line(str(self._anchor.pid))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._anchor.communicate()

    @property
    def prefix(self) -> tuple[str, ...]:
        """A command that becomes the command behind it, on this host."""
        return ("nsenter", f"--target={self._anchor.pid}", "--net", "--uts")

    def cut_off(self) -> None:
        """Take its line down. Nobody is told: connections stay open, and nothing passes."""
        _run("ip", "link", "set", self.name, "down")

    def reconnect(self) -> None:
        """Take its line up again."""
        _run("ip", "link", "set", self.name, "up")

    def _lay_line(self, namespace: str) -> None:
        veth = ("type", "veth", "peer", "name", "line", "netns", namespace)
        _run("ip", "link", "add", self.name, *veth)
        _run("ip", "address", "add", f"{self.our_address}/30", "dev", self.name)
        _run("ip", "link", "set", self.name, "up")
        _run(*self.prefix, "ip", "address", "add", f"{self._its_address}/30", "dev", "line")
        _run(*self.prefix, "ip", "link", "set", "line", "up")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _check(returned: int) -> None:
    if returned != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
