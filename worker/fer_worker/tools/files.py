"""What is said of files that cannot be read or written: one line, the same everywhere."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fer_client.errors import FerWorkerError


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `FerWorkerError`: a file cannot be read, and why."""
    try:
        yield
    except OSError as error:
        raise _failure("read", path, error) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `FerWorkerError`: a file cannot be written, and why."""
    try:
        yield
    except OSError as error:
        raise _failure("write", path, error) from error


def check_writable(*paths: Path | None) -> None:
    """See that files can be written, whether they are there or not; None is none.

    Raises:
        FerWorkerError: one cannot.
    """
    for path in filter(None, paths):
        with writing(path):
            place = path if path.exists() else path.parent
            if not os.access(place, os.W_OK):
                code = errno.EACCES if place.exists() else errno.ENOENT
                raise OSError(code, os.strerror(code))


def _failure(what: str, path: Path, error: OSError) -> FerWorkerError:
    return FerWorkerError(f"cannot {what} {path}: {error.strerror or error}")
