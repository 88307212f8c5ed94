"""Extras: libraries that a command may not find."""

import importlib.util

from fer_client.errors import FerWorkerError
from fer_worker.platform import is_one_file


def check_extra(what: str, library: str, extra: str) -> None:
    """See that a library is installed which comes with an extra, and which `what` needs.

    Raises:
        FerWorkerError: it is not; the text says how to get it.
    """
    if importlib.util.find_spec(library) is not None:
        return
    if is_one_file():
        raise FerWorkerError(f"{what} needs {library}, which this program does not have")
    raise FerWorkerError(f"{what} needs {library}: pip install ./client '.[{extra}]'")
