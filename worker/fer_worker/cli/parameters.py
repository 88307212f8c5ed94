"""Types of parameters that one command has."""

import shlex

import click

from fer_schemas import Emotion
from fer_worker.cli.options import engine_options
from fer_worker.inference.types import EngineOptions


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


@click.command(add_help_option=False)
@engine_options
def _engine(options: EngineOptions) -> EngineOptions:
    return options


ENGINE_PARAMETERS = tuple(option.name for option in _engine.params if option.name is not None)
"""What `engine_options` adds to a command."""


class EngineArguments(click.ParamType[EngineOptions]):
    """Engine options as they are typed in a command: `--compat fer --min-face-size 40`."""

    name = "options"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> EngineOptions:
        """Read options as a shell and `engine_options` do."""
        if isinstance(value, EngineOptions):
            return value
        try:
            options = _engine.main(shlex.split(str(value)), standalone_mode=False)
        except click.ClickException as error:
            self.fail(error.format_message(), param, ctx)
        except ValueError as error:  # a quotation mark without its partner
            self.fail(str(error), param, ctx)
        assert isinstance(options, EngineOptions)
        return options
