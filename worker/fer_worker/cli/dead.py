"""`fer-worker dead`: what was dead-lettered and why; send it to the workers again, or remove it."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console, Group
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from fer_client.config import BrokerConfig
from fer_schemas import ErrorCode
from fer_worker.admin.dead_letters import DeadLetter, DeadLetters, OpenedLetter
from fer_worker.cli.listing import list_options, print_list
from fer_worker.cli.options import broker_options
from fer_worker.cli.tables import NOTHING, moment, plain
from fer_worker.tools.files import writing

LONGEST_VALUE = 500
"""Characters of a property or header that are shown."""


@click.group()
def dead() -> None:
    """Look at dead letters, send them to the workers again, or remove them."""


def which_letters(command: Callable[..., None]) -> Callable[..., None]:
    """Add `[ID…]` and `--all`; the command gets `ids`, None for all of them."""

    @click.argument("ids", nargs=-1, metavar="[ID…]")
    @click.option("--all", "every", is_flag=True, help="All that are there now.")
    @wraps(command)
    def with_letters(*args: Any, ids: tuple[str, ...], every: bool, **kwargs: Any) -> None:
        if every == bool(ids):
            raise click.UsageError("name dead letters by their IDs, or say --all")
        command(*args, ids=None if every else ids, **kwargs)

    return with_letters


@dead.command("list")
@list_options
@broker_options
def list_(broker: BrokerConfig, limit: int, as_json: bool) -> None:
    """Say what was dead-lettered, when, why and by which sender, the oldest first.

    Nothing is removed.

    docs/protocol.md says what each code means and what to do.
    """
    with DeadLetters(broker) as letters:
        shown, total = letters.oldest(limit)
    print_list(shown, total, None if as_json else _table, "dead letters")


@dead.command()
@click.argument("id_", metavar="ID")
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the body there as it is.",
)
@broker_options
def show(broker: BrokerConfig, id_: str, save: Path | None) -> None:
    """Say everything about one dead letter. Nothing is removed, and no pixels are shown."""
    with DeadLetters(broker) as letters:
        letter = letters.open(id_)
    if save is not None:
        with writing(save):
            save.write_bytes(letter.body)
    Console().print(_contents(letter))


@dead.command()
@which_letters
@broker_options
def requeue(broker: BrokerConfig, ids: tuple[str, ...] | None) -> None:
    """Publish dead letters to the workers again, as they were sent, the oldest first.

    Each leaves the dead only after the broker has confirmed its new copy. One that is still bad
    is dead-lettered again.
    """
    with DeadLetters(broker) as letters:
        _count(letters.requeue(ids), "requeued")


@dead.command()
@which_letters
@click.option("--yes", is_flag=True, help="Do not ask.")
@broker_options
def purge(broker: BrokerConfig, ids: tuple[str, ...] | None, yes: bool) -> None:
    """Remove dead letters for good. Asks first; without a terminal to ask on it wants --yes."""
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on; say --yes to remove for good")
        with DeadLetters(broker) as letters:
            number = letters.count() if ids is None else len(set(ids))
        click.confirm(f"Remove {number} dead letter(s) for good?", abort=True, err=True)
    with DeadLetters(broker) as letters:
        _count(letters.purge(ids), "removed")


def _count(done: Iterator[str], word: str) -> None:
    """Say how many are done, also where the rest fails."""
    number = 0
    try:
        with Console(stderr=True).status("") as status:
            for _ in done:
                number += 1
                status.update(f"{number} {word} ...")
    finally:
        click.echo(f"{number} {word}")


def _table(letters: Sequence[DeadLetter]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("dead letter", no_wrap=True)
    # As wide as the longest code, which leaves room for a UUID.
    table.add_column("why", max_width=max(map(len, ErrorCode)))
    table.add_column("from", overflow="fold")
    for letter in letters:
        table.add_row(_what(letter), _why(letter), _from_whom(letter), end_section=True)
    return table


def _what(letter: DeadLetter) -> Text:
    times = "once" if letter.deliveries == 1 else f"{letter.deliveries} times"
    lines = [
        Text(letter.id, style="bold"),
        moment(letter.dead_lettered_at),
        plain(letter.content_type or "no content type"),
        Text(f"{decimal(letter.body_bytes)}, read {times}"),
    ]
    return Text("\n").join(lines)


def _why(letter: DeadLetter) -> Text:
    if letter.code is None:
        return Text("not dead-lettered by a worker", style="dim")
    return Text("\n").join([plain(letter.code, "red"), plain(letter.message or "")])


def _from_whom(letter: DeadLetter) -> Text:
    named = {
        "camera": letter.camera_id,
        "correlation id": letter.correlation_id,
        "reply to": letter.reply_to,
        "worker": letter.dead_lettered_by,
    }
    lines = [
        Text.assemble((f"{name} ", "dim"), plain(value)) for name, value in named.items() if value
    ]
    return Text("\n").join(lines)


def _contents(letter: OpenedLetter) -> Group:
    summary = letter.summary
    facts: dict[str, object] = {
        "id": summary.id,
        "dead-lettered at": summary.dead_lettered_at,
        "dead-lettered by": summary.dead_lettered_by,
        "taken from": summary.first_queue,
        "reason": summary.code,
        "message": summary.message,
        "deliveries": summary.deliveries,
    }
    request = letter.request
    body: dict[str, object] = {"bytes": len(letter.body), "camera_id": summary.camera_id}
    frames: list[Table] = []
    if letter.fault is not None:
        body["cannot be read"] = f"{letter.fault.code}: {letter.fault.message}"
    if request is not None:
        body |= request.model_dump(mode="json", exclude={"frames"}, exclude_none=True)
        table = Table("frame", "id", "captured_at", box=box.SIMPLE_HEAD)
        table.add_column("bytes", justify="right")
        for index, frame in enumerate(request.frames):
            captured = frame.captured_at and frame.captured_at.isoformat()
            table.add_row(str(index), _value(frame.id), _value(captured), str(len(frame.jpeg)))
        frames.append(table)
    sections = {
        "dead letter": facts,
        "properties": letter.properties,
        "headers": letter.headers,
        "body": body,
    }
    return Group(*(_facts(title, facts) for title, facts in sections.items() if facts), *frames)


def _facts(title: str, facts: Any) -> Table:
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=False, min_width=40
    )
    table.add_column(no_wrap=True, style="dim")
    table.add_column()
    for name, value in facts.items():
        table.add_row(plain(name), _value(value))
    return table


def _value(value: object) -> Text:
    """Show a value of any of AMQP's types; bytes may be a picture and are only counted."""
    if value is None:
        return NOTHING
    text = value if isinstance(value, str) else json.dumps(value, default=_as_text)
    if len(text) > LONGEST_VALUE:
        text = f"{text[:LONGEST_VALUE]}… ({len(text)} characters)"
    return plain(text)


def _as_text(value: object) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)
