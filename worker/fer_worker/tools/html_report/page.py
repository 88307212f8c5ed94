"""The page itself: figures and pictures into a template, every word of others escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path, PurePath
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fer_schemas import Emotion
from fer_worker import __version__
from fer_worker.leading import in_words, leading
from fer_worker.metrics import PER_FRAME
from fer_worker.palette import THEME, css_color
from fer_worker.quantiles import PERCENTILES, percentile
from fer_worker.tools.counted import counted
from fer_worker.tools.face_table import Row
from fer_worker.tools.html_report import labels
from fer_worker.tools.html_report.charts import HEIGHT, STACK, Course, course, histogram
from fer_worker.tools.html_report.counts import EMOTIONS, Counts, scores_of
from fer_worker.tools.html_report.series import Axis, Series, place_of
from fer_worker.tools.html_report.summary import Summary
from fer_worker.tools.html_report.thumbnails import SIZE, Thumbnail

STAGES: Final = {
    "latency": "from being sent to the answer",
    "queued": "waiting for a worker",
    "decode": "turning the JPEG into a picture",
    "detect": "finding faces",
    "classify": "recognising emotions",
    "total": "in the worker, from start to end; frames run side by side",
}
"""What each time is."""

TEMPLATES: Final = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """One camera or clip on the page."""

    name: str
    series: Series
    total: Counts
    course: Course
    thumbnails: Sequence[Thumbnail]


def render_page(
    summary: Summary,
    pictures: Sequence[Sequence[Thumbnail]],
    title: str,
    files: Sequence[str],
    made_at: datetime,
) -> str:
    """Make the page.

    Args:
        summary: of at least one row.
        pictures: thumbnails, a list for each series.
        title: of the page.
        files: names of what was read.
        made_at: when.
    """
    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, THEME.parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = "{:,}".format
    environment.filters["basename"] = _basename
    sections = [
        Section(name_of(series), series, series.total(), course(series), thumbnails)
        for series, thumbnails in zip(summary.series.values(), pictures, strict=True)
    ]
    total = summary.total()
    latency = summary.times["latency"]
    return environment.get_template("page.html").render(
        title=title,
        files=files,
        made_at=f"{made_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        version=__version__,
        summary=summary,
        total=total,
        sections=sections,
        histogram=histogram(latency) if latency else None,
        most_often=max(zip(total.dominant, EMOTIONS, strict=True), key=itemgetter(0))[1],
        stages=_stages(summary),
        meanings=STAGES,
        per_frame=PER_FRAME,
        has_own_queue=any(one.key.axis is not Axis.CLOCK for one in summary.series.values()),
        percentiles=PERCENTILES,
        stack=STACK,
        emotions=EMOTIONS,
        colors={emotion: css_color(emotion) for emotion in Emotion},
        height=HEIGHT,
        thumbnail_size=SIZE,
        counted=counted,
        found=_found,
        place=labels.place,
        axis_title=labels.axis_title,
        between=labels.between,
        period=labels.period,
        place_of=place_of,
    )


def name_of(series: Series) -> str:
    """Name a series for its heading."""
    key = series.key
    if key.camera_id is not None:
        return key.camera_id
    return "Pictures" if key.source is None else _basename(key.source)


def _stages(summary: Summary) -> dict[str, dict[int, float | None]]:
    """Percentiles of each stage that was measured, in ms."""
    return {
        stage: {percent: percentile(times, percent) for percent in PERCENTILES}
        for stage, times in summary.times.items()
        if times
    }


def _found(row: Row) -> str:
    """Name the leading emotion of a face, or both where none leads."""
    return in_words(leading(zip(EMOTIONS, scores_of(row) or (), strict=True)))


def _basename(source: str) -> str:
    """Name a path by its last part; an address of a camera as it is."""
    return source if "://" in source else PurePath(source).name or source
