"""Options that are a number, or a range that doubles."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

Number = TypeVar("Number", int, float)


class Doubling(click.ParamType[tuple[Number, ...]]):
    """`4`, `1:16` (which is 1, 2, 4, 8, 16), or several of either separated by commas."""

    name = "numbers"

    def __init__(self, number: Callable[[str], Number], least: Number, most: Number) -> None:
        """Store the type of number, and the bounds, which are allowed."""
        self._number: Callable[[str], Number] = number
        self._least: Number = least
        self._most: Number = most

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Number, ...]:
        """Read the numbers in the order given."""
        if isinstance(value, tuple):
            return value
        numbers: list[Number] = []
        for part in str(value).split(","):
            first, colon, last = part.partition(":")
            try:
                low = self._number(first)
                high = self._number(last) if colon else low
            except ValueError:
                self.fail(f"{part!r} is neither a number nor a range such as 1:16", param, ctx)
            if low > high:
                self.fail(f"{part!r} goes down", param, ctx)
            if not self._least <= low <= high <= self._most:
                self.fail(f"{part!r} is not within {self._least:g}:{self._most:g}", param, ctx)
            numbers.extend(doubling(low, high))
        return tuple(numbers)


def doubling(first: Number, last: Number) -> Iterator[Number]:
    """Count 1, 2, 4, … times `first` up to `last`, which always is the last one."""
    while first < last:
        yield first
        first *= 2
    yield last
