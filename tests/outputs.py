"""What `submit` has written."""

from contextlib import suppress
from pathlib import Path

import cv2

from fer_client.errors import FerWorkerError
from fer_worker.tools.face_table import Row, read_rows


def rows_in(path: Path) -> list[Row]:
    """The rows of a file; none where it is not there yet."""
    return list(read_rows(path)) if path.exists() else []


def rows_so_far(path: Path) -> list[Row]:
    """The rows of a file that is being written: without the last one, while that is half there."""
    rows: list[Row] = []
    if path.exists():
        with suppress(FerWorkerError):
            for row in read_rows(path):
                rows.append(row)  # noqa: PERF402
    return rows


def frames_of(video: Path) -> int:
    """How many frames a video has."""
    opened = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    count = 0
    while opened.grab():
        count += 1
    return count
