"""The shared library, called by ctypes. What it is handed is checked here: C++ believes it."""

import ctypes
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.boxes import Floats, Indices
from fer_worker.inference.mtcnn.operations import STRIDE
from fer_worker.inference.mtcnn.pyramid import Level, Picture, Window
from fer_worker.inference.native.kernels import kernel_index, load_library
from fer_worker.inference.types import INPUT_SIDE

_EMOTIONS: Final = 7

_INTEGER, _LONG, _FLOAT, _ARRAY = ctypes.c_int, ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
_PICTURE: list[Any] = [_INTEGER, _ARRAY, _LONG, _LONG, _INTEGER]


class Library:
    """The compiled code, with one of its kernels.

    Args:
        kernel: such as `avx2`; see `choose_kernel`.

    Raises:
        EngineError: this CPU or the library does not have it.
    """

    def __init__(self, kernel: str) -> None:
        library = load_library()
        self._kernel = kernel_index(library, kernel)
        self._propose = library.mtcnn_propose
        self._propose.argtypes = [*_PICTURE, _ARRAY, _LONG, _ARRAY, _FLOAT, _ARRAY, _ARRAY]
        self._score = library.mtcnn_score
        self._score.argtypes = [*_PICTURE, _ARRAY, _LONG, _INTEGER, _ARRAY, _FLOAT, _ARRAY]
        self._classify = library.emotion_classify
        self._classify.argtypes = [_INTEGER, _ARRAY, _LONG, _ARRAY, _ARRAY]
        self._suppress = library.mtcnn_suppress
        self._suppress.restype = _LONG
        self._suppress.argtypes = [_ARRAY, _ARRAY, _LONG, _FLOAT, _FLOAT, _INTEGER, _ARRAY]

    def propose(
        self, picture: Picture, levels: Sequence[Level], weights: Floats, least: float
    ) -> list[Floats]:
        """Run P-Net over windows of some levels. Together they take less than one by one.

        Args:
            picture: the picture.
            levels: which, one at least; windows in pixels of their level.
            weights: as `pack_pnet` lays them out.
            least: log(p / (1 - p)) of the least probability p of the cells wanted.

        Returns:
            For each level (N, 7) float32: a cell's column and row, counted from the window's first,
            its surplus (the difference of the two logits), at least `least`, and its regression.

        Raises:
            ValueError: a window is not in its level, or has a side under 11 pixels.
            MemoryError: memory is short.
        """
        asked = np.array([self._level(picture, *level) for level in levels], np.int64)
        rooms = asked[:, -1]
        cells = np.empty((rooms.sum(), 7), np.float32)  # untouched memory costs nothing
        found = np.empty(len(asked), np.int64)
        failed = self._propose(
            *self._of(picture), _address(asked, np.int64), len(asked),
            _address(weights, np.float32), least, _address(cells, np.float32),
            _address(found, np.int64),
        )  # fmt: skip
        if failed:
            raise MemoryError
        begins = np.cumsum(rooms) - rooms
        return [
            cells[begin : begin + count]
            for begin, count in zip(begins.tolist(), found.tolist(), strict=True)
        ]

    def _level(self, picture: Picture, scale: float, window: Window) -> tuple[int, ...]:
        """What the library is told of a level."""
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
        return (*size, *window, columns * rows)

    def score(
        self,
        picture: Picture,
        corners: NDArray[np.int32],
        weights: Floats,
        least: float,
        *,
        output: bool,
    ) -> Floats:
        """Run R-Net, or O-Net for `output`, on candidates. A surplus under `least` may be a guess.

        Args:
            picture: the picture.
            corners: (N, 4) left, top, right, bottom in pixels, the last two exclusive.
            weights: as `pack_rnet` or `pack_onet` lays them out.
            least: see `propose`.
            output: which network.

        Returns:
            (N, 5) float32: the surplus of each, and its regression. From O-Net (N, 15): with five
            landmarks, x of each, then y.

        Raises:
            ValueError: a candidate is not in the picture, or empty.
            MemoryError: memory is short.
        """
        left, top, right, bottom = corners.T
        across = (left >= 0) & (left < right) & (right <= picture.width)
        down = (top >= 0) & (top < bottom) & (bottom <= picture.height)
        if not (across & down).all():
            raise ValueError(f"a candidate is empty or not in the picture: {corners}")
        corners = np.ascontiguousarray(corners)
        answers = np.empty((len(corners), 15 if output else 5), np.float32)
        failed = self._score(
            *self._of(picture), _address(corners, np.int32), len(corners), output,
            _address(weights, np.float32), least, _address(answers, np.float32),
        )  # fmt: skip
        if failed:
            raise MemoryError
        return answers

    def classify(self, pictures: Floats, weights: Floats) -> Floats:
        """Run the emotion network on faces.

        Args:
            pictures: (N, 64, 64) float32, grey, in [-1, 1].
            weights: as `pack_emotion` lays them out.

        Returns:
            (N, 7) float32 logits, in the order of `Emotion`.

        Raises:
            ValueError: pictures of another size.
            MemoryError: memory is short.
        """
        if pictures.shape[1:] != (INPUT_SIDE, INPUT_SIDE):
            raise ValueError(f"no pictures of {INPUT_SIDE} x {INPUT_SIDE}: {pictures.shape}")
        logits = np.empty((len(pictures), _EMOTIONS), np.float32)
        failed = self._classify(
            self._kernel, _address(pictures, np.float32), len(pictures),
            _address(weights, np.float32), _address(logits, np.float32),
        )  # fmt: skip
        if failed:
            raise MemoryError
        return logits

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
            ValueError: the order has another length, or names a box that is not there; a box is not
                finite.
            MemoryError: memory is short.
        """
        if boxes.shape != (len(order), 4):
            raise ValueError(f"{len(order)} numbers are no order of boxes {boxes.shape}")
        boxes, kept = np.ascontiguousarray(boxes), np.empty(len(boxes), np.int64)
        count = self._suppress(
            _address(boxes, np.float32), _address(order, np.int64), len(boxes), threshold, pixel,
            by_minimum, _address(kept, np.int64),
        )  # fmt: skip
        if count == -1:
            raise MemoryError
        if count < 0:
            raise ValueError("the order names a box that is not there, or a box is not finite")
        return kept[:count]

    def _of(self, picture: Picture) -> tuple[object, ...]:
        pixels = _address(picture.pixels, np.uint8)
        return self._kernel, pixels, picture.height, picture.width, picture.is_reversed


def _address(array: NDArray[Any], dtype: type[np.generic]) -> int:
    """Where an array's numbers are. The caller keeps the array until the call is over."""
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(f"not an array of {dtype.__name__}, row by row: {array.dtype}")
    return array.ctypes.data
