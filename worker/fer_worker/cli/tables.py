"""Results as tables for people."""

from collections.abc import Iterable, Iterator
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from fer_schemas import BatchResult, RequestError
from fer_worker.leading import in_words, leading

NOTHING = Text("-", style="dim")

PER_FRAME_NOTE = "decode, detect and classify per frame, the others per batch"
"""Of tables of times."""

COLUMNS: Final = {
    "frame": None,
    "faces": 5,
    "emotion": 9,
    "confidence": 10,
    "area": 8,
    "note": None,
}
"""Of a table of results: how wide they are where tables follow each other; None shares the rest."""

NUMBERS: Final = ("faces", "confidence", "area")


def plain(text: str, style: str = "") -> Text:
    """Show the words of others: no markup, and nothing that would steer a terminal."""
    safe = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return Text("".join(safe), style=style, overflow="fold")


def moment(iso_8601: str | None) -> Text:
    """Show a time in UTC, to the second."""
    return NOTHING if iso_8601 is None else plain(f"{iso_8601[:19].replace('T', ' ')}Z")


def render_results(
    results: Iterable[BatchResult], *, aligned: bool = False, header: bool = True
) -> Table:
    """Make a table of results: a row per frame, batch after batch.

    A frame is named by its id, or by its place in the batch. The frame that its batch calls most
    relevant is bold. A request that was bad as a whole is a row by itself.

    Args:
        results: in their order.
        aligned: whether columns are as wide as in any other table made so, which may follow.
            Frames are named by their camera and the last part of their id there.
        header: whether the columns are named.
    """
    table = Table(box=box.SIMPLE_HEAD, show_header=header)
    if aligned:
        table.expand, table.show_edge, table.padding = True, False, (0, 1, 0, 0)
    for name, width in COLUMNS.items():
        table.add_column(
            name,
            justify="right" if name in NUMBERS else "left",
            width=width if aligned else None,
            ratio=1 if aligned and width is None else None,
        )
    for result in results:
        for error in result.errors:
            if error.frame is None:
                table.add_row(*[NOTHING] * 5, _note(error))
        for row, is_relevant in _rows(result, is_short=aligned):
            table.add_row(*row, style="bold" if is_relevant else None)
        table.add_section()
    return table


def _rows(result: BatchResult, *, is_short: bool) -> Iterator[tuple[list[Text], bool]]:
    """Cells of each frame, and whether it is the most relevant one."""
    errors = {error.frame: error for error in result.errors}
    entries = zip(result.frames, result.faces_areas, strict=True)
    for index, (frame, area) in enumerate(entries):
        # `Text` and not `str`: ids are others' words, and no markup.
        id_ = frame.id or f"#{index}"
        if is_short:
            id_ = " ".join(filter(None, (result.camera_id, id_.rpartition("/")[2])))
        name = Text(id_, overflow="fold")
        error = errors.get(index)
        note = _note(error) if error else Text()
        if not frame.faces:
            faces = NOTHING if error or frame.width is None else Text("0")
            cells = [name, faces, NOTHING, NOTHING, NOTHING]
        else:
            found = leading(frame.faces[0].emotions)
            (emotion, confidence), *close = found.items()
            cells = [
                name,
                Text(str(len(frame.faces))),
                Text("undecided" if close else emotion),
                Text(f"{confidence:.2f}"),
                Text(str(area)),
            ]
            if close:
                note = Text(in_words(found).partition(": ")[2])
        yield [*cells, note], index == result.most_relevant_frame


def _note(error: RequestError) -> Text:
    return Text(f"{error.code}: {error.message}", style="red")
