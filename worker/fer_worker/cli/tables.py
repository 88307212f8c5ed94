"""Results as tables for people."""

from collections.abc import Iterable, Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from fer_schemas import BatchResult, RequestError

NOTHING = Text("-", style="dim")


def plain(text: str, style: str = "") -> Text:
    """Show the words of others: no markup, and nothing that would steer a terminal."""
    safe = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return Text("".join(safe), style=style, overflow="fold")


def moment(iso_8601: str | None) -> Text:
    """Show a time in UTC, to the second."""
    return NOTHING if iso_8601 is None else plain(f"{iso_8601[:19].replace('T', ' ')}Z")


def render_results(results: Iterable[BatchResult]) -> Table:
    """Make a table of results: a row per frame, batch after batch.

    A frame is named by its id, or by its place in the batch. The frame that its batch calls most
    relevant is bold. A request that was bad as a whole is a row by itself.
    """
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("frame", "faces", "emotion", "confidence", "area", "note"):
        is_number = name in ("faces", "confidence", "area")
        table.add_column(name, justify="right" if is_number else "left")
    for result in results:
        for error in result.errors:
            if error.frame is None:
                table.add_row(*[NOTHING] * 5, _note(error))
        for row, is_relevant in _rows(result):
            table.add_row(*row, style="bold" if is_relevant else None)
        table.add_section()
    return table


def _rows(result: BatchResult) -> Iterator[tuple[list[Text], bool]]:
    """Cells of each frame, and whether it is the most relevant one."""
    errors = {error.frame: error for error in result.errors}
    entries = zip(result.frames, result.emotions, result.faces_areas, strict=True)
    for index, (frame, dominant, area) in enumerate(entries):
        # `Text` and not `str`: ids are others' words, and no markup.
        name = Text(frame.id or f"#{index}", overflow="fold")
        error = errors.get(index)
        if dominant.emotion is None:
            faces = NOTHING if error or frame.width is None else Text("0")
            cells = [name, faces, NOTHING, NOTHING, NOTHING]
        else:
            cells = [
                name,
                Text(str(len(frame.faces))),
                Text(dominant.emotion),
                Text(f"{dominant.confidence:.2f}"),
                Text(str(area)),
            ]
        yield [*cells, _note(error) if error else Text()], index == result.most_relevant_frame


def _note(error: RequestError) -> Text:
    return Text(f"{error.code}: {error.message}", style="red")
