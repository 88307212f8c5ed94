"""Health of a worker's container: its supervisor says on /readyz that it is ready, or paused.

A worker that has lost its broker is not healthy. A paused one (`scale 0`) is: it does what it was
told. Exit code 0 or 1, with one line that says why.
"""

import http.client
import os
import sys

TIMEOUT_S = 5.0


def problem(port: int) -> str | None:
    """What keeps this container from answering batches, or None."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    finally:
        connection.close()
    if answer.status == http.client.OK or said == "paused":
        return None
    return said or f"status {answer.status}"


sys.exit(problem(int(os.environ["FER_WORKER_RUN_METRICS_PORT"])))
