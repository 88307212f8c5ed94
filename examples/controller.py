"""A controller in a few lines: send batches of frames, wait for the results, print them.

    python examples/controller.py [amqp://guest:guest@127.0.0.1:5672/]

The broker is the argument, else FER_WORKER_AMQP_URL, else the one on this machine.
FER_WORKER_NAMESPACE says under which namespace the workers run.
"""

import os
import sys
from pathlib import Path

from fer_client import FerClient
from fer_client.config import DEFAULT_NAMESPACE, DEFAULT_URL
from fer_client.errors import FerWorkerError
from fer_schemas import BatchResult, Frame

FRAMES = Path(__file__).parent / "frames"
BATCH_SIZE = 4
RESULT_TIMEOUT_S = 30.0
NAMESPACE = os.environ.get("FER_WORKER_NAMESPACE", DEFAULT_NAMESPACE)


def main(url: str) -> int:
    """Send the sample frames; return the exit code."""
    frames = [Frame(jpeg=path.read_bytes(), id=path.name) for path in sorted(FRAMES.glob("*.jpg"))]
    batches = [frames[first : first + BATCH_SIZE] for first in range(0, len(frames), BATCH_SIZE)]
    try:
        with FerClient(url, namespace=NAMESPACE) as client:
            futures = [client.submit(batch, camera_id="door-1") for batch in batches]
            for future in futures:  # all are under way; the workers answer in any order
                show(future.result(timeout=RESULT_TIMEOUT_S))
    except (FerWorkerError, TimeoutError) as error:
        print(f"controller: {str(error) or 'no result in time'}", file=sys.stderr)
        return 1
    return 0


def show(result: BatchResult) -> None:
    """Print the first face of each frame, and what could not be analysed."""
    print(f"{result.camera_id}: {result.status}, most relevant: {result.most_relevant_frame}")
    for frame, seen in zip(result.frames, result.emotions, strict=True):
        print(f"  {frame.id}: {seen.emotion or 'no face'} {seen.confidence:.2f}")
    for error in result.errors:
        print(f"  frame {error.frame} failed: {error.code}: {error.message}")


if __name__ == "__main__":
    sys.exit(main((sys.argv[1:] or [os.environ.get("FER_WORKER_AMQP_URL", DEFAULT_URL)])[0]))
