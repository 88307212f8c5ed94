"""Every command of `fer-worker`, one after the other in this process: what each one says.

    python -m tests.walk PATH...

Each is called with what it needs at least, and with each of these paths for each of its options and
arguments that are one. A JSON line per call says how it ended. For a process of its own: commands
take signals and logging over.
"""

import json
import sys
from collections.abc import Iterator

import click
from click.testing import CliRunner

from fer_worker.cli import main
from tests.pages import ROOT

FILLED = {
    "sources": str(ROOT / "examples" / "frames" / "no_face.jpg"),
    "paths": str(ROOT / "examples" / "frames"),
    "path": str(ROOT / "examples" / "frames"),
}
"""What stands for an argument; anything else is 1."""


def commands(group: click.Group = main) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """The commands of a group and of the groups within it, each with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from (((name, *words), inner) for words, inner in commands(command))
        else:
            yield (name,), command


def calls(command: click.Command, paths: list[str]) -> Iterator[list[str]]:
    """Arguments to call a command with."""
    yield _arguments(command)
    for parameter in command.params:
        for path in paths:
            if isinstance(parameter, click.Argument):
                yield _arguments(command, **{parameter.name or "": path})
            elif isinstance(parameter.type, click.Path):
                yield [*_arguments(command), parameter.opts[0], path]


def _arguments(command: click.Command, **given: str) -> list[str]:
    values = FILLED | given
    return [
        values.get(parameter.name or "", "1")
        for parameter in command.params
        if isinstance(parameter, click.Argument)
    ]


def walk(paths: list[str]) -> Iterator[dict[str, object]]:
    """Call all commands; the word before a path is that of its option."""
    for words, command in commands():
        for arguments in calls(command, paths):
            done = CliRunner().invoke(main, [*words, *arguments])
            is_exit = done.exception is None or isinstance(done.exception, SystemExit)
            yield {
                "line": " ".join((*words, *arguments)),
                "code": done.exit_code,
                "said": done.stderr,
                "raised": None if is_exit else repr(done.exception),
            }


if __name__ == "__main__":
    for outcome in walk(sys.argv[1:]):
        print(json.dumps(outcome), flush=True)
