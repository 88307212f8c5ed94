"""What the system says of processes: whether they live, and what they leave behind."""

import os
from pathlib import Path

LISTENING = "0A"


def processes_with(text: str) -> dict[int, str]:
    """Living processes whose environment or command line has the text: id and command line."""
    found = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            command = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:  # ended meanwhile, or another user's
            continue
        if text.encode() in command + environment:
            found[int(process.name)] = command.replace(b"\0", b" ").decode()
    return found


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie: orphans may wait for an init that is slow."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def is_asleep(pid: int) -> bool:
    """Whether its first thread waits in a call of the system."""
    return ") S " in Path(f"/proc/{pid}/stat").read_text()


def listening_addresses(port: int) -> list[str]:
    """Local addresses, in hexadecimal, of the sockets that listen on a port."""
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path("/proc/net", table).read_text().splitlines()[1:]
    ]
    locals_ = [row[1].split(":") for row in rows if row[3] == LISTENING]
    return [address for address, hexadecimal in locals_ if int(hexadecimal, 16) == port]
