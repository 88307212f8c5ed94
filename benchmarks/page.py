"""The figures of a report in `benchmarks/README.md`, between two markers."""

from pathlib import Path
from typing import Final

from benchmarks.report import Report
from benchmarks.tables import tables_of

README: Final = Path(__file__).parent / "README.md"

BEGIN: Final = "<!-- figures: written by make bench -->"
END: Final = "<!-- end of figures -->"


def heading(report: Report) -> str:
    """Where and when it was measured, in a sentence or two."""
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    same = "the same" if report.same_answers else "NOT the same"
    return (
        f"Measured on {report.started_at:%Y-%m-%d} in {report.seconds / 60:.0f} minutes: "
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gb} GB, {machine.system}, "
        f"Python {machine.python}, {versions}, kernels {machine.kernels}. fer and `--compat fer` "
        f"found {same} faces in every picture."
    )


def render(report: Report) -> str:
    """The figures as Markdown."""
    tables = [f"### {table.title}\n\n{table.markdown()}" for table in tables_of(report)]
    return "\n\n".join([heading(report), *tables])


def replace_figures(page: str, figures: str) -> str:
    """Return a page with other figures between the markers.

    Raises:
        ValueError: it has no markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no markers")
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}"


def update(report: Report, page: Path = README) -> None:
    """Write the figures into the page."""
    text = page.read_text(encoding="utf-8")
    page.write_text(replace_figures(text, render(report)), encoding="utf-8")
