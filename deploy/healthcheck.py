"""Health of a worker's container: its own supervisor answers, and its processes are ready.

Goes through the broker, so a worker that has lost it is not healthy. A paused one (`scale 0`) is,
and so is one whose broker takes no messages for a while (a memory or disk alarm): it waits.
Exit code 0 or 1, with one line that says why.
"""

import json
import socket
import subprocess
import sys


def problem() -> str | None:
    """What keeps this container from answering batches, or None."""
    status = subprocess.run(
        ["fer-worker", "status", "--json"],  # noqa: S607 - the image's PATH
        capture_output=True,
        text=True,
    )
    if status.returncode != 0:
        return status.stderr.strip()
    found = json.loads(status.stdout)
    if found["blocked"]:
        return None
    for supervisor in found["supervisors"]:
        if supervisor["host"] == socket.gethostname():
            ready = sum(process["state"] == "ready" for process in supervisor["processes"])
            if ready < supervisor["desired"]:
                return f"{ready} of {supervisor['desired']} processes are ready"
            return None
    return "the supervisor does not answer"


sys.exit(problem())
