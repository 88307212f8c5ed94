"""Types of what is typed as an option or an argument."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import click

from fer_schemas import Emotion, ScaleCommand
from fer_worker.inference.types import Percent
from fer_worker.limits import ReplyPattern

Number = TypeVar("Number", int, float)

DAY_S: Final = 86_400
"""The longest time to wait for anything. Longer ones are slips, and some overflow a clock."""


class NumberRange(click.FloatRange):
    """A range that `nan` and `inf` are outside of, also where it has no upper end."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return number


class EngineChoice(click.Choice[str]):
    """An engine, by its name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read a name."""
        if value == "openvino":
            self.fail("'openvino' is gone: 'native' gives the same answers without it", param, ctx)
        return super().convert(value, param, ctx)


class FaceSize(click.ParamType[int | Percent]):
    """`40`, which are pixels, or `3%`, which is of the frame's longer side."""

    name = "size"

    def __init__(self, least: int, most: int | None) -> None:
        """Store the smallest and the largest number of pixels; None: any."""
        self._pixels = click.IntRange(least, most)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Percent:
        """Read a number of pixels or per cent."""
        text = str(value)
        if text.endswith("%"):
            try:
                return Percent(text)
            except ValueError as error:
                self.fail(str(error), param, ctx)
        if not re.fullmatch(r"[0-9]{1,9}", text):
            self.fail(f"{text!r} is neither a number of pixels nor per cent such as 3%", param, ctx)
        return self._pixels.convert(int(text), param, ctx)


SECONDS: Final = NumberRange(0, DAY_S, min_open=True)
SECONDS_OR_NONE: Final = NumberRange(0, DAY_S)


class Count(click.ParamType[int | None]):
    """A number, or `auto`, which leaves it to the plan (None)."""

    name = "number"

    def __init__(self, least: int) -> None:
        """Store the smallest number that is allowed."""
        self._least = least

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Read a number."""
        if value in (None, "auto"):
            return None
        text = str(value)
        if not text.isdecimal() or int(text) < self._least:
            self.fail(f"{text!r} is neither auto nor a number from {self._least} on", param, ctx)
        return int(text)


class Bounds(click.ParamType[tuple[int, int]]):
    """`1:4`: at least one, at most four."""

    name = "bounds"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Read the two numbers."""
        if isinstance(value, tuple):
            return value
        text = str(value)
        least, _, most = text.partition(":")
        if not (least.isdecimal() and most.isdecimal() and int(least) <= int(most) > 0):
            self.fail(f"{text!r} is not MIN:MAX, such as 1:4", param, ctx)
        return int(least), int(most)


class Amount(click.ParamType[ScaleCommand]):
    """`3`, `+1` or `-1`."""

    name = "amount"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> ScaleCommand:
        """Read a number or a change."""
        text = str(value)
        if not re.fullmatch(r"[+-]?\d{1,6}", text):
            self.fail(f"{text!r} is neither a number nor a change such as +1 or -1", param, ctx)
        if text[0] in "+-":
            return ScaleCommand(change=int(text))
        return ScaleCommand(processes=int(text))


class Pattern(click.ParamType[ReplyPattern]):
    """A regular expression."""

    name = "regex"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> ReplyPattern:
        """Read a regular expression."""
        try:
            return ReplyPattern(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class EmotionNames(click.ParamType[tuple[Emotion, ...]]):
    """`angry,fear`."""

    name = "emotions"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Emotion, ...]:
        """Read names, separated by commas."""
        if isinstance(value, tuple):
            return value
        names = [name.strip().lower() for name in str(value).split(",")]
        for name in names:
            if name not in list(Emotion):
                self.fail(f"{name!r} is none of {', '.join(Emotion)}", param, ctx)
        return tuple(map(Emotion, names))


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
