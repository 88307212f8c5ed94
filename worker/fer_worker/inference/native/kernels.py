"""The shared library: where it is, which kernels it has, and which is the fastest here.

A kernel is the compiled code for one instruction set. Loads no numpy: supervisors choose one.
"""

import ctypes
import itertools
import logging
import os
import platform
import sys
from pathlib import Path
from typing import Final

from fer_client.errors import EngineError

VARIABLE: Final = "FER_WORKER_KERNEL"
"""Names the kernel to use, in place of a measurement."""

LIBRARY_NAMES: Final = ("libkernels.so", "libkernels.dylib", "libkernels.dll")
_ROUNDS: Final = 2

log = logging.getLogger(__name__)


def load_library() -> ctypes.CDLL:
    """Load the compiled code.

    An editable installation has it among the installed packages, and the sources elsewhere.

    Raises:
        EngineError: it is not there, or not for this machine.
    """
    package = Path(*__package__.split("."))
    for folder in (Path(__file__).parent, *(Path(entry, package) for entry in sys.path)):
        for name in LIBRARY_NAMES:
            if (path := folder / name).is_file():
                try:
                    return ctypes.CDLL(str(path))
                except OSError as error:
                    raise EngineError(f"the compiled code cannot be loaded: {error}") from error
    raise EngineError("the compiled code is missing: install fer-worker again")


def kernel_index(library: ctypes.CDLL, name: str) -> int:
    """The number by which the library knows a kernel.

    Raises:
        EngineError: this CPU or the library does not have it.
    """
    indices = _indices(library)
    if name not in indices:
        raise EngineError(f"no kernel {name!r} for this CPU, but {', '.join(indices)}")
    return indices[name]


def choose_kernel() -> str:
    """Name the kernel to use: what the environment says, or the fastest.

    The flags of a CPU do not tell: bfloat16 is faster on some that have it and slower on others.
    So each kernel runs P-Net and R-Net for about a millisecond, twice in a row, in two turns; the
    shortest time counts. The first run may find its unit asleep: AMX takes milliseconds to wake.

    Raises:
        EngineError: the library is missing, or the environment names what this CPU does not have.
    """
    library = load_library()
    if name := os.environ.get(VARIABLE):
        kernel_index(library, name)
        return name
    indices = _indices(library)
    if len(indices) == 1:
        (name,) = indices
        if platform.machine().lower() in ("x86_64", "amd64"):
            log.warning("this CPU has no AVX2: a frame takes several times as long")
        return name
    library.kernels_time.restype = ctypes.c_int64
    times = dict.fromkeys(indices, sys.maxsize)
    for _ in range(_ROUNDS):
        most = 1.5 * min(times.values())  # one that is far behind has one turn
        for name in [name for name, time in times.items() if time <= most]:
            for _ in range(2):
                times[name] = min(times[name], library.kernels_time(indices[name]))
    fastest = min(times, key=times.__getitem__)
    measured = ", ".join(f"{name} {time / 1e6:.2f} ms" for name, time in times.items())
    log.info("kernels on this machine: %s", measured)
    return fastest


def _indices(library: ctypes.CDLL) -> dict[str, int]:
    """The kernels that this CPU can run, by name; the last one runs on any."""
    library.kernels_name.restype = ctypes.c_char_p
    names = map(library.kernels_name, itertools.count())
    known = enumerate(itertools.takewhile(lambda name: name is not None, names))
    return {name.decode(): index for index, name in known if name}
