"""What the program begins with that PyInstaller makes: `fer-worker`, and each of its processes."""

import multiprocessing
import os
import sys

from fer_worker.__main__ import main


def leave_libraries() -> None:
    """Have programs of the system, such as RabbitMQ, find their own libraries and not ours.

    PyInstaller says by `LD_LIBRARY_PATH` where ours are. This process has read it; processes of
    ours set it anew.
    """
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if before is None:
        os.environ.pop("LD_LIBRARY_PATH", None)
    else:
        os.environ["LD_LIBRARY_PATH"] = before
    os.environ["PYINSTALLER_RESET_ENVIRONMENT"] = "1"


if __name__ == "__main__":
    if sys.platform == "linux":
        leave_libraries()
    multiprocessing.freeze_support()  # a worker process of that program starts here, too
    main()
