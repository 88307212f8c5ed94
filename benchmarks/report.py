"""What a run has found: rows with their targets, and everything they were made of."""

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from benchmarks.machine import Machine, Memory


class Value(BaseModel):
    """Base of what is written to the results file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(Value):
    """What a figure is to be: at least or under a bound."""

    of: Literal["ratio", "value"]
    kind: Literal["at least", "under"]
    bound: float

    def is_met(self, cell: "Cell") -> bool:
        """Whether a cell reaches it."""
        figure = cell.ratio if self.of == "ratio" else cell.value
        if figure is None:
            return False
        return figure >= self.bound if self.kind == "at least" else figure < self.bound


class Cell(Value):
    """A figure of this worker, and its ratio to the reference's."""

    value: float
    ratio: float | None = None


class Row(Value):
    """One line of the table. A cell is None where nothing was measured."""

    name: str
    unit: str
    """Of all values, such as `frames/s`."""
    target: Target
    reference: float | None = None
    """What the ratios are taken to: fer's figure, or what the name of the row says."""
    compat: Cell | None = None
    """With `--compat fer`."""
    default: Cell | None = None
    """With the default options."""


class Bar(Value):
    """One bar of the plot."""

    name: str
    frames_per_second: float
    memory_mb: float


class Grid(Value):
    """A small table of figures: `cells[row][column]`."""

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: tuple[tuple[float, ...], ...]


class FaceSizeRow(Value):
    """What a `--min-face-size` costs and finds on frames of one size."""

    frames: str
    """Width and height in pixels: `640x360`."""
    min_face_size: str
    """As it is typed."""
    pixels: int
    """What that is on these frames."""
    first_face: float
    """Frames/s of one thread, with `faces: first`."""
    all_faces: float
    """With `faces: all`."""
    clear: int
    """Known faces that are larger than the size by a tenth or more."""
    clear_found: int
    known: int
    """All known faces."""
    found: int


class Report(Value):
    """A whole run."""

    started_at: datetime
    seconds: float
    """How long it took."""
    machine: Machine
    pictures: tuple[str, ...]
    """Name and size of each."""
    same_answers: bool
    """Whether fer and `--compat fer` found the same faces in every picture."""
    rows: tuple[Row, ...]
    bars: tuple[Bar, ...]
    grids: tuple[Grid, ...]
    face_sizes: tuple[FaceSizeRow, ...] = ()
    """Nothing in records of before there was this."""
    rounds: dict[str, dict[str, list[float]]]
    """Figures of every contestant in every round, by what was measured."""
    memory: dict[str, Memory]
    """At 1080p, by contender."""
    growth_mb: list[float]
    """Resident memory after each tenth of the frames."""


def save(report: Report, folder: Path) -> Path:
    """Write a report as `<date>-<cpu>.json`; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.started_at:%Y-%m-%d}-{report.machine.slug}.json"
    path.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return path
