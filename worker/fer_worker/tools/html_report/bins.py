"""Bins of an axis whose range is not known before its last value is read."""

from collections.abc import Callable, Iterator
from typing import Final, Generic, Protocol, Self, TypeVar

MAX_BINS: Final = 180
"""Of one axis. A chart of so many has columns of 5 pixels on a desk and 2 on a phone."""

_S: Final = 1000
_MIN: Final = 60 * _S
_HOUR: Final = 60 * _MIN
_DAY: Final = 24 * _HOUR

TIMES_MS: Final = (
    *(_S // 5, _S, 5 * _S, 15 * _S, 30 * _S),
    *(_MIN, 5 * _MIN, 15 * _MIN, 30 * _MIN),
    *(_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY),
)
"""Widths of bins of time. Each is a multiple of the one before, so that bins can be merged."""


class Mergeable(Protocol):
    """What a bin holds."""

    def absorb(self, other: Self, /) -> None:
        """Take in what the next bin, or the one before, holds."""


Content = TypeVar("Content", bound=Mergeable)


class Bins(Generic[Content]):
    """At most `MAX_BINS` bins of equal width, only those that hold something.

    They get wider, two or more becoming one, whenever their range would need more of them.
    """

    def __init__(
        self, empty: Callable[[], Content], width: int, wider: Callable[[int], int]
    ) -> None:
        """Begin without bins.

        Args:
            empty: makes the content of a new bin.
            width: of a bin at first, in units of the axis.
            wider: the next width, a multiple of the one it is given.
        """
        self._empty = empty
        self._wider = wider
        self.width = width
        self.contents: dict[int, Content] = {}
        """By number: bin n reaches from n x width up to (n + 1) x width."""
        self._first: int | None = None
        self._last = 0

    def at(self, place: int) -> Content:
        """Give the bin of a place on the axis, a new one if need be."""
        number = place // self.width
        first = number if self._first is None else min(self._first, number)
        last = number if self._first is None else max(self._last, number)
        self._first, self._last = first, last
        if last - first >= MAX_BINS:
            self.fit(MAX_BINS)
            number = place // self.width
        if number not in self.contents:
            self.contents[number] = self._empty()
        return self.contents[number]

    def fit(self, most: int) -> None:
        """Widen the bins until their range needs no more than so many."""
        while self._first is not None and self._last - self._first >= most:
            self.widen()

    def widen(self) -> None:
        """Go on with the next width."""
        width = self._wider(self.width)
        factor = width // self.width
        merged: dict[int, Content] = {}
        for number, content in sorted(self.contents.items()):
            if number // factor in merged:
                merged[number // factor].absorb(content)
            else:
                merged[number // factor] = content
        self.contents, self.width = merged, width
        if self._first is not None:
            self._first, self._last = self._first // factor, self._last // factor

    def __iter__(self) -> Iterator[Content]:
        """Go through what they hold, along the axis."""
        return (self.contents[number] for number in sorted(self.contents))

    @property
    def range(self) -> range:
        """Numbers of the bins from the first to the last that holds something."""
        return range(0) if self._first is None else range(self._first, self._last + 1)


def wider_time(width_ms: int) -> int:
    """Give the next of `TIMES_MS`; twice as many days after the last one."""
    return next((width for width in TIMES_MS if width > width_ms), width_ms * 2)


def wider_count(width: int) -> int:
    """Give the next of 1, 5, 10, 50, 100, ..."""
    return width * 5 if str(width).startswith("1") else width * 2


def twice(width: int) -> int:
    """Give the next of 1, 2, 4, 8, ..."""
    return width * 2
