"""How the process keeps memory: pictures come and go by the megabyte, many times per second."""

import ctypes
import sys
from typing import Final

# malloc.h of glibc; the values are its own limits, or so high that it hardly ever happens.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGEST_ON_HEAP: Final = 32 << 20
_TRIMMED_ABOVE: Final = 512 << 20


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for the next picture, where it is glibc.

    Otherwise it may give the memory of every picture back to the system and get it anew, page by
    page: for a 1080p frame that takes as long as half of its decoding.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_M_ARENA_MAX, 1)  # others give a block of theirs back as soon as it is free
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_ON_HEAP)
        library.mallopt(_M_TRIM_THRESHOLD, _TRIMMED_ABOVE)
