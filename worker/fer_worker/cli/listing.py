"""What the commands that list a queue have in common."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import click
from rich.console import Console
from rich.table import Table

from fer_worker.admin.dead_letters import DeadLetter
from fer_worker.admin.undelivered_results import UndeliveredResult

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Row = TypeVar("Row", DeadLetter, UndeliveredResult)


def list_options(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Add `--limit` and `--json`."""
    command = click.option(
        "--json", "as_json", is_flag=True, help="A JSON line each instead of a table."
    )(command)
    return click.option(
        "--limit", type=click.IntRange(0), default=100, help="How many to show, the oldest first."
    )(command)


def print_list(
    rows: Sequence[Row],
    total: int,
    render: Callable[[Sequence[Row]], Table] | None,
    what: str,
) -> None:
    """Print the oldest rows of a list as a table, or as a JSON line each; say if there are more.

    Args:
        rows: what is shown.
        total: how many there are.
        render: makes the table; None for JSON.
        what: their name in the plural.
    """
    if render is None:
        for row in rows:
            click.echo(json.dumps(dataclasses.asdict(row)))
    elif rows:
        Console().print(render(rows))
    if not total:
        click.echo(f"No {what}.", err=True)
    elif len(rows) < total:
        click.echo(f"The oldest {len(rows)} of {total} {what}; --limit shows more.", err=True)
