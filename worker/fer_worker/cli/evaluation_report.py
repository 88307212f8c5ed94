"""Evaluations as tables for people, and as one document for machines."""

import dataclasses
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fer_schemas import Emotion
from fer_worker.cli.tables import NOTHING, plain
from fer_worker.tools.evaluation.datasets import Dataset
from fer_worker.tools.evaluation.recognition import Outcome
from fer_worker.tools.evaluation.scores import (
    MISSED,
    ClassScores,
    Comparison,
    Estimate,
    Evaluation,
    Paired,
    compare,
    evaluate,
)

PACKAGES = ("fer-worker", "numpy", "opencv-python-headless", "fer", "facenet-pytorch")
"""Whose versions bear on the answers."""

SHOWN_FAILURES = 3


@dataclass(frozen=True)
class Trial:
    """The pictures as one engine answers them."""

    title: str
    engines: Sequence[Mapping[str, Any]]
    """Options under which they were answered; more than one where workers differ."""
    outcomes: Sequence[Outcome]

    @cached_property
    def evaluation(self) -> Evaluation:
        """Its figures; there are some only if a picture was analysed."""
        return evaluate(self.outcomes)

    @property
    def description(self) -> str:
        """Its options in words; those that say which engine it is go without `name`."""
        return f"{self.title}: " + "; ".join(
            ", ".join(f"{key} {value}".removeprefix("name ") for key, value in engine.items())
            for engine in self.engines
        )


@dataclass(frozen=True)
class Report:
    """All that is known when an evaluation ends, or is ended."""

    dataset: Dataset
    where: str
    """Where pictures were analysed, in words."""
    asked: Mapping[str, Any]
    """Options that say which pictures, and how they are prepared."""
    pictures: int
    """How many those are."""
    trials: Sequence[Trial]
    """One, or two over the same pictures."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing ended it early."""
        return len(self.trials[0].outcomes) == self.pictures

    @cached_property
    def comparison(self) -> Comparison | None:
        """The second trial beside the first one, if there are two."""
        if len(self.trials) == 1:
            return None
        return compare(*(trial.outcomes for trial in self.trials))


def render(report: Report) -> Iterator[RenderableType]:
    """Make the tables for people; 80 columns are enough."""
    yield _facts(report)
    for trial in report.trials:
        yield Text()
        yield plain(trial.description, "bold")
        yield _spaced(_headlines(trial.evaluation))
        yield _spaced(_classes(trial.evaluation))
        yield _spaced(_confusion(trial.evaluation))
    if report.comparison is not None:
        yield _spaced(_compared(report.comparison))


def document(report: Report) -> dict[str, Any]:
    """Make one object for JSON of all there is."""
    comparison = report.comparison
    return {
        "complete": report.is_complete,
        "dataset": {
            "path": str(report.dataset.path),
            "layout": report.dataset.layout,
            "splits": report.dataset.splits,
            "pictures": report.pictures,
        },
        "asked": report.asked,
        "where": report.where,
        "versions": _versions(),
        "trials": [_trial(trial) for trial in report.trials],
        "comparison": None
        if comparison is None
        else {"found": _paired(comparison.found), "right": _paired(comparison.right)},
    }


def _facts(report: Report) -> Table:
    dataset, outcomes = report.dataset, report.trials[0].outcomes
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    facts = Table.grid(padding=(0, 2, 0, 0))
    splits = f", {', '.join(dataset.splits)}" if dataset.splits else ""
    facts.add_row("data", plain(f"{dataset.path} ({dataset.layout}{splits})"))
    facts.add_row("pictures", f"{len(outcomes) - len(failed):,} analysed")
    if not report.is_complete:
        facts.add_row("", Text(f"partial: {report.pictures:,} were asked for", style="yellow"))
    if failed:
        told = [f"{len(failed):,} could not be analysed, and are in no figure"]
        told += [f"{outcome.picture}: {outcome.error}" for outcome in failed[:SHOWN_FAILURES]]
        told += ["…"] * (len(failed) > SHOWN_FAILURES)
        facts.add_row("", Text("\n").join(plain(line, "yellow") for line in told))
    if min_side := report.asked["min_side"]:
        facts.add_row("enlarged", f"to {min_side} px on the shorter side where smaller")
    facts.add_row("by", plain(report.where))
    return facts


def _headlines(evaluation: Evaluation) -> Table:
    found, every = evaluation.of_found, evaluation.of_all
    table = _table("", "where a face\nwas found", "95 %", "all pictures", "95 %")
    table.caption = "all pictures: a face that is not found is a wrong answer"
    table.caption_justify = "left"
    table.add_row("pictures", f"{evaluation.found:,}", "", f"{every.pictures:,}", "")
    table.add_row("face found", NOTHING, "", *_estimate(evaluation.detection_rate))
    table.add_row(
        "accuracy", *_estimate(found.accuracy if found else None), *_estimate(every.accuracy)
    )
    table.add_row(
        "balanced accuracy",
        *_estimate(found.balanced_accuracy if found else None),
        *_estimate(every.balanced_accuracy),
    )
    return table


def _classes(evaluation: Evaluation) -> Table:
    found, every = evaluation.of_found, evaluation.of_all
    names = ("pictures", "face\nfound", "precision", "recall", "F1", "recall\nof all", "F1\nof all")
    table = _table("%", *names)
    for emotion, of_all in every.by_emotion.items():
        of_found = found.by_emotion.get(emotion) if found else None
        rate = of_found.pictures / of_all.pictures if of_found else 0.0
        table.add_row(
            emotion, f"{of_all.pictures:,}", _percent(rate), *_class_cells(of_found, of_all)
        )
    table.add_section()
    table.add_row("macro mean", "", "", *_class_cells(found.macro if found else None, every.macro))
    table.add_row(
        "weighted mean", "", "", *_class_cells(found.weighted if found else None, every.weighted)
    )
    return table


def _class_cells(found: ClassScores | None, every: ClassScores) -> list[str | Text]:
    of_found: list[str | Text] = [NOTHING] * 3
    if found is not None:
        of_found = [_percent(share) for share in (found.precision, found.recall, found.f1)]
    return [*of_found, _percent(every.recall), _percent(every.f1)]


def _confusion(evaluation: Evaluation) -> Table:
    """A row a label, a column an answer; those that are right are bold."""
    table = _table("label \\ answer", *(*Emotion, MISSED))
    for label, row in evaluation.confusion.items():
        cells = (
            Text(f"{count:,}", style="bold" if answer is label else "" if count else "dim")
            for answer, count in row.items()
        )
        table.add_row(label, *cells)
    return table


def _compared(comparison: Comparison) -> Table:
    table = _table("%", "A", "B", "B - A", "95 %", "only A", "only B", "p")
    table.caption = (
        "p: how likely such a difference, or a larger one, is by chance alone "
        "(McNemar's exact test)."
    )
    table.caption_justify = "left"
    for name, paired in (("face found", comparison.found), ("right, of all", comparison.right)):
        gain = paired.gain
        table.add_row(
            name,
            _percent((paired.both + paired.only_a) / paired.pictures),
            _percent((paired.both + paired.only_b) / paired.pictures),
            f"{100 * gain.value:+.1f}",
            f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}",
            f"{paired.only_a:,}",
            f"{paired.only_b:,}",
            f"{paired.p_value:.4f}" if paired.p_value >= 0.0001 else "<0.0001",
        )
    return table


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _spaced(table: Table) -> Padding:
    return Padding(table, (1, 0, 0, 0))


def _estimate(estimate: Estimate | None) -> tuple[str | Text, str]:
    if estimate is None:
        return NOTHING, ""
    return (
        f"{_percent(estimate.value)} %",
        f"{_percent(estimate.low)} - {_percent(estimate.high)}",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _trial(trial: Trial) -> dict[str, Any]:
    evaluation = trial.evaluation
    return {
        "title": trial.title,
        "engines": trial.engines,
        "failed": evaluation.failed,
        "found": evaluation.found,
        "detection_rate": dataclasses.asdict(evaluation.detection_rate),
        "of_found": evaluation.of_found and dataclasses.asdict(evaluation.of_found),
        "of_all": dataclasses.asdict(evaluation.of_all),
        "confusion": {
            label: {answer or MISSED: count for answer, count in row.items()}
            for label, row in evaluation.confusion.items()
        },
        "outcomes": [_outcome(outcome) for outcome in trial.outcomes],
    }


def _paired(paired: Paired) -> dict[str, Any]:
    gain = dataclasses.asdict(paired.gain)
    return dataclasses.asdict(paired) | {"gain": gain, "p_value": paired.p_value}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "picture": outcome.picture,
        "label": outcome.label,
        "answer": outcome.emotion,
        "face": None if outcome.face is None else outcome.face.model_dump(mode="json"),
        "error": None if outcome.error is None else str(outcome.error),
    }


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
