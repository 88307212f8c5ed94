"""What a command cannot do without, found out while there is nothing to lose."""

import importlib.util
import os
from pathlib import Path

from fer_client.errors import FerWorkerError


def check_writable(*paths: Path | None) -> None:
    """See that files can be written, whether they are there or not; None is none.

    Raises:
        FerWorkerError: one cannot.
    """
    for path in paths:
        if path is None:
            continue
        is_there = os.access(path, os.F_OK)
        if not os.access(path if is_there else path.parent, os.W_OK):
            raise FerWorkerError(f"cannot write {path}")


def check_extra(what: str, library: str, extra: str) -> None:
    """See that a library is installed which comes with an extra, and which `what` needs.

    Raises:
        FerWorkerError: it is not; the text says how to get it.
    """
    if importlib.util.find_spec(library) is None:
        raise FerWorkerError(f"{what} needs {library}: pip install ./client '.[{extra}]'")
