"""Ranges of the numbers that people type."""

import math
from typing import Any, Final

import click

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


SECONDS: Final = NumberRange(0, DAY_S, min_open=True)
SECONDS_OR_NONE: Final = NumberRange(0, DAY_S)
