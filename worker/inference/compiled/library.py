"""The shared library, called by ctypes. What it is handed is checked here: C++ believes it."""

import ctypes
import itertools
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.inference.kernels import STRIDE, Floats, Indices
from worker.inference.pyramid import AreaResizer, Window

_FLOATS = np.ctypeslib.ndpointer(np.float32, flags="C")
_INTS = np.ctypeslib.ndpointer(np.int32, flags="C")
_LONGS = np.ctypeslib.ndpointer(np.int64, flags="C")
_PICTURE: list[Any] = [ctypes.c_int, _INTS, ctypes.c_int64, ctypes.c_int64, ctypes.c_int]


class Library:
    """The compiled code with one of the instruction sets that it has.

    Args:
        path: the shared library.
        instructions: `avx512_bf16`, `avx512`, `avx2` or `baseline`; by default the best one that
            this CPU has.
        guesses: whether that may be one that guesses in bfloat16.

    Raises:
        ValueError: this CPU or the library does not have it.
    """

    def __init__(
        self, path: Path, instructions: str | None = None, *, guesses: bool = True
    ) -> None:
        library = ctypes.CDLL(str(path))
        names = _instruction_sets(library)
        if instructions is None:
            instructions = next(name for name in names if name and (guesses or "bf" not in name))
        self.instructions: Final = instructions
        self._index = names.index(instructions)
        self._propose = library.mtcnn_propose
        self._propose.restype = ctypes.c_int64
        self._propose.argtypes = [
            *_PICTURE, ctypes.c_int64, ctypes.c_int64, _LONGS,
            _FLOATS, ctypes.c_float, _FLOATS, ctypes.c_int64,
        ]  # fmt: skip
        self._score = library.mtcnn_score
        self._score.argtypes = [
            *_PICTURE, _INTS, ctypes.c_int64, ctypes.c_int, _FLOATS,
            ctypes.c_float, _FLOATS,
        ]  # fmt: skip

        self._suppress = library.mtcnn_suppress
        self._suppress.restype = ctypes.c_int64
        self._suppress.argtypes = [
            _FLOATS, _LONGS, ctypes.c_int64, ctypes.c_float, ctypes.c_float, ctypes.c_int, _LONGS,
        ]  # fmt: skip

    def propose(
        self, picture: AreaResizer, scale: float, window: Window, weights: Floats, least: float
    ) -> Floats:
        """Run P-Net over a window of a level.

        Returns:
            (N, 7) float32: a cell's column and row, counted from the window's first, its surplus
            (the difference of the two logits), at least `least`, and its regression.

        Raises:
            ValueError: the window is not in the level, or smaller than a cell.
        """
        columns, rows = (
            (side - 1) // STRIDE - 4
            for side in (window.right - window.left, window.bottom - window.top)
        )
        size = picture.level_size(scale)
        inside = Window(
            max(0, window.left),
            max(0, window.top),
            min(size[0], window.right),
            min(size[1], window.bottom),
        )
        if min(columns, rows) < 1 or window != inside:
            raise ValueError(f"{window} is too small, or not in a level of {size}")
        found = np.empty((rows * columns, 7), np.float32)  # untouched memory costs nothing
        count = self._propose(
            *self._of(picture), *size,
            np.array(window, np.int64), weights, least, found, len(found),
        )  # fmt: skip
        if count < 0:
            raise MemoryError
        return found[:count]

    def score(
        self,
        picture: AreaResizer,
        corners: NDArray[np.int32],
        weights: Floats,
        least: float,
        *,
        output: bool,
    ) -> Floats:
        """Run R-Net, or O-Net for `output`, on candidates. A surplus under `least` may be a guess.

        Returns:
            (N, 5) float32: the surplus of each, and its regression.

        Raises:
            ValueError: a candidate is not in the picture, or empty.
        """
        left, top, right, bottom = corners.T
        across = (left >= 0) & (left < right) & (right <= picture.width)
        down = (top >= 0) & (top < bottom) & (bottom <= picture.height)
        if not (across & down).all():
            raise ValueError(f"a candidate is empty or not in the picture: {corners}")
        answers = np.empty((len(corners), 5), np.float32)
        failed = self._score(
            *self._of(picture),
            np.ascontiguousarray(corners), len(corners), output, weights, least, answers,
        )  # fmt: skip
        if failed:
            raise MemoryError
        return answers

    def suppress(
        self, boxes: Floats, order: Indices, threshold: float, *, pixel: int, by_minimum: bool
    ) -> Indices:
        """Walk boxes (N, 4) in an order, and drop those that overlap an earlier, kept one too much.

        Args:
            boxes: see above.
            order: (N,) which box comes when.
            threshold: more overlap is too much.
            pixel: what is added to sides.
            by_minimum: overlap is measured by the smaller area, not by the union.

        Returns:
            The indices of the kept ones, in that order.

        Raises:
            ValueError: the order is none of all boxes; a box is not finite.
        """
        if boxes.shape != (len(order), 4) or not np.array_equal(
            np.sort(order), np.arange(len(boxes))
        ):
            raise ValueError(f"not an order of {len(boxes)} boxes: {order}")
        if not np.isfinite(boxes).all():
            raise ValueError("a box is not finite")
        kept = np.empty(len(boxes), np.int64)
        count = self._suppress(
            np.ascontiguousarray(boxes), order, len(boxes), threshold, pixel, by_minimum, kept
        )
        if count < 0:
            raise MemoryError
        return kept[:count]

    def _of(self, picture: AreaResizer) -> tuple[object, ...]:
        return self._index, picture.sums, picture.height, picture.width, picture.is_reversed


def find_library(instructions: str | None = None, *, guesses: bool = True) -> Library | None:
    """Load the compiled code, or return None where it was not built; see `Library`."""
    for suffix in EXTENSION_SUFFIXES:  # setuptools names it as a module of this Python
        if (path := Path(__file__).parent / f"_mtcnn{suffix}").is_file():
            return Library(path, instructions, guesses=guesses)
    return None


def _instruction_sets(library: ctypes.CDLL) -> list[str]:
    """Those of the library, the best one first; empty strings for those that this CPU lacks."""
    library.mtcnn_instructions.restype = ctypes.c_char_p
    names = map(library.mtcnn_instructions, itertools.count())
    return [name.decode() for name in itertools.takewhile(lambda name: name is not None, names)]
