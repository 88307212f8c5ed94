"""A report as tables: for the terminal by rich, for the pages as Markdown."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich import box
from rich.table import Table

from benchmarks.report import Cell, FaceSizeRow, Grid, Report, Row, Target

Cells = tuple[str, ...]


@dataclass(frozen=True)
class TextTable:
    """A table of words. All columns but the first are figures."""

    title: str
    header: Cells
    rows: tuple[Cells, ...]

    def rich(self) -> Table:
        """For the terminal."""
        table = Table(title=self.title, title_justify="left", box=box.SIMPLE_HEAD)
        for index, name in enumerate(self.header):
            table.add_column(name, justify="right" if index else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For a page."""
        ruler = ["---"] + ["---:"] * (len(self.header) - 1)
        lines = (self.header, ruler, *self.rows)
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables_of(report: Report) -> list[TextTable]:
    """All tables of a report."""
    bars = TextTable(
        "frames/s on the mixed set, and memory at 1080p",
        ("", "frames/s", "memory, MB"),
        tuple(
            (bar.name, number(bar.frames_per_second), number(bar.memory_mb)) for bar in report.bars
        ),
    )
    sizes = [face_sizes(report.face_sizes)] if report.face_sizes else []
    return [goals(report.rows), bars, *map(grid, report.grids), *sizes]


def goals(rows: Iterable[Row]) -> TextTable:
    """Every row with its target; a figure that reaches it has a tick."""
    return TextTable(
        "against the targets",
        ("", "unit", "reference", "--compat fer", "default", "target"),
        tuple(
            (
                row.name,
                row.unit,
                "" if row.reference is None else number(row.reference),
                _cell(row.compat, row.target),
                _cell(row.default, row.target),
                _target(row.target),
            )
            for row in rows
        ),
    )


def face_sizes(rows: Iterable[FaceSizeRow]) -> TextTable:
    """What each size of a face costs and finds."""
    return TextTable(
        "frames/s of one thread by --min-face-size and frame size, and which known faces are found",
        ("frames", "--min-face-size", "pixels", "first face", "all faces", "clear: found", "found"),
        tuple(
            (
                row.frames,
                row.min_face_size,
                str(row.pixels),
                number(row.first_face),
                number(row.all_faces),
                f"{row.clear_found} of {row.clear}",
                f"{row.found} of {row.known}",
            )
            for row in rows
        ),
    )


def grid(cells: Grid) -> TextTable:
    """Rows of figures."""
    rows = tuple(
        (name, *map(number, row)) for name, row in zip(cells.rows, cells.cells, strict=True)
    )
    return TextTable(cells.title, (cells.corner, *cells.columns), rows)


def number(value: float) -> str:
    """Three digits that count, and no more places than that takes."""
    places = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{places}f}"


def _cell(cell: Cell | None, target: Target) -> str:
    if cell is None:
        return ""
    ratio = "" if cell.ratio is None else f" ({number(cell.ratio)}x)"
    return f"{number(cell.value)}{ratio}{' ✓' if target.is_met(cell) else ' ✗'}"


def _target(target: Target) -> str:
    return f"{target.kind} {target.bound:g}{'x' if target.of == 'ratio' else ''}"
