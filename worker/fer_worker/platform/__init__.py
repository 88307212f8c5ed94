"""What depends on the operating system: the only place that asks which one this is.

`system` is `posix` for Linux and its kind, `windows` for Windows. Both have the same names, whose
purpose `posix` says.
"""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

if sys.platform == "win32":
    from fer_worker.platform import windows as system
else:
    from fer_worker.platform import posix as system

__all__ = ["is_one_file", "run_loop", "system"]

Result = TypeVar("Result")


def is_one_file() -> bool:
    """Whether this is the program that PyInstaller makes: the interpreter is the program itself."""
    return getattr(sys, "frozen", False)


def run_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a loop of the kind that pika's connections need; Windows has another one by default."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(main)
