"""What answers to labelled pictures come to: rates, scores by emotion, and two engines compared.

Every figure is taken over one of two sets. Over the pictures **in which a face was found** it says
how well emotions are told apart. Over **all** that could be analysed, where a missed face is a
wrong answer, it says what a controller gets. Pictures that could not be analysed are in neither.

An answer is the strongest of seven emotions, as in a result. Only emotions that label a picture are
scored: an answer that names another one is wrong, and is not scored as an emotion by itself.

Needs scikit-learn and SciPy, from the extra `evaluate`.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Final

from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from fer_client.errors import FerWorkerError
from fer_schemas import Emotion
from fer_worker.tools.evaluation.recognition import Outcome

Z: Final = 1.959964
"""Standard deviations to either side that hold 95 % of a normal distribution."""

MISSED: Final = "no face"
"""The answer where no face was found."""


@dataclass(frozen=True)
class Estimate:
    """A figure, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassScores:
    """How an emotion is recognised, or a mean over emotions; each from 0 to 1."""

    pictures: int
    """With this label."""
    precision: float
    """Of the answers that name it, the share that is right; 0 where none does."""
    recall: float
    """Of the pictures with this label, the share that is answered so."""
    f1: float
    """Harmonic mean of the two; 0 where both are."""


@dataclass(frozen=True)
class Scores:
    """How pictures, at least one, are answered."""

    pictures: int
    right: int
    accuracy: Estimate
    """Share that is right; interval by Wilson."""
    balanced_accuracy: Estimate
    """Mean of the recalls: the accuracy if every emotion had as many pictures."""
    by_emotion: Mapping[Emotion, ClassScores]
    """Of those that label a picture, in the network's order."""
    macro: ClassScores
    """Mean over the emotions."""
    weighted: ClassScores
    """Mean over the emotions by their pictures."""


@dataclass(frozen=True)
class Evaluation:
    """All figures of one engine over one set of pictures, at least one of them analysed."""

    failed: int
    """Pictures that could not be analysed; no figure counts them."""
    found: int
    """Pictures in which a face was found."""
    detection_rate: Estimate
    confusion: Mapping[Emotion, Mapping[Emotion | None, int]]
    """Pictures by their label and the answer; None: no face was found."""
    of_found: Scores | None
    """Over pictures in which a face was found; None if there are none."""
    of_all: Scores
    """Over all analysed ones; a missed face is wrong."""


def evaluate(outcomes: Iterable[Outcome]) -> Evaluation:
    """Work out all figures.

    Raises:
        FerWorkerError: no picture could be analysed.
    """
    failed = 0
    answers: list[tuple[Emotion, Emotion | None]] = []
    for outcome in outcomes:
        if outcome.error is None:
            answers.append((outcome.label, outcome.emotion))
        else:
            failed += 1
    if not answers:
        raise FerWorkerError("no picture could be analysed")
    found = [(label, answer) for label, answer in answers if answer is not None]
    labels, given = _columns(answers)
    counts = confusion_matrix(labels, given, labels=[*Emotion, MISSED]).tolist()
    return Evaluation(
        failed=failed,
        found=len(found),
        detection_rate=wilson(len(found), len(answers)),
        confusion={
            label: dict(zip((*Emotion, None), row, strict=True))
            for label, row in zip(Emotion, counts, strict=False)
            if any(row)
        },
        of_found=score(found) if found else None,
        of_all=score(answers),
    )


def score(answers: Sequence[tuple[Emotion, Emotion | None]]) -> Scores:
    """Score pairs of label and answer, at least one."""
    labels, given = _columns(answers)
    present = [emotion for emotion in Emotion if emotion in labels]
    measure = partial(
        precision_recall_fscore_support, labels, given, labels=present, zero_division=0
    )
    shares = (column.tolist() for column in measure())
    by_emotion = {
        emotion: ClassScores(int(pictures), precision, recall, f1)
        for emotion, precision, recall, f1, pictures in zip(present, *shares, strict=True)
    }
    macro, weighted = (
        ClassScores(len(answers), *map(float, measure(average=average)[:3]))
        for average in ("macro", "weighted")
    )
    right = int(accuracy_score(labels, given, normalize=False))
    return Scores(
        pictures=len(answers),
        right=right,
        accuracy=wilson(right, len(answers)),
        balanced_accuracy=_mean_recall(by_emotion.values()),
        by_emotion=by_emotion,
        macro=macro,
        weighted=weighted,
    )


def wilson(hits: int, trials: int) -> Estimate:
    """Estimate a share of independent trials, at least one, with Wilson's score interval."""
    interval = binomtest(hits, trials).proportion_ci(method="wilson")
    return Estimate(hits / trials, float(interval.low), float(interval.high))


@dataclass(frozen=True)
class Paired:
    """A yes or no about the same pictures under A and under B."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @classmethod
    def count(cls, pairs: Iterable[tuple[bool, bool]]) -> "Paired":
        """Count pairs of what holds under A and under B."""
        counts = Counter(pairs)
        return cls(
            counts[True, True], counts[True, False], counts[False, True], counts[False, False]
        )

    @property
    def pictures(self) -> int:
        """How many there are."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def gain(self) -> Estimate:
        """Share under B less that under A, of at least one picture.

        The interval is that of Bonett and Price (2012): Wald's for pairs, after one picture is
        added to each kind that differs, so that it has a width where nothing differs.
        """
        pictures = self.pictures + 2
        differing, centre = self.only_a + self.only_b + 2, (self.only_b - self.only_a) / pictures
        half = Z * math.sqrt((differing / pictures - centre**2) / pictures)
        gain = (self.only_b - self.only_a) / self.pictures
        return Estimate(gain, max(-1.0, centre - half), min(1.0, centre + half))

    @property
    def p_value(self) -> float:
        """How likely such a difference is by chance alone: McNemar's test, exact, two-sided.

        If A and B were equally good, each picture on which they differ would be one for A or one
        for B as a coin falls.
        """
        differing = self.only_a + self.only_b
        return float(binomtest(self.only_a, differing).pvalue) if differing else 1.0


@dataclass(frozen=True)
class Comparison:
    """Two engines over the pictures that both could analyse."""

    found: Paired
    """A face was found."""
    right: Paired
    """A face was found and its emotion is right."""


def compare(a: Iterable[Outcome], b: Iterable[Outcome]) -> Comparison:
    """Compare two engines' outcomes of the same pictures, in the same order.

    Raises:
        FerWorkerError: no picture could be analysed by both.
    """
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x.error is None and y.error is None]
    if not pairs:
        raise FerWorkerError("no picture could be analysed under both sets of options")
    return Comparison(
        found=Paired.count((x.face is not None, y.face is not None) for x, y in pairs),
        right=Paired.count((x.is_right, y.is_right) for x, y in pairs),
    )


def _columns(answers: Iterable[tuple[Emotion, Emotion | None]]) -> tuple[list[str], list[str]]:
    """Labels, and the answers to them."""
    labels, given = zip(*answers, strict=True)
    return list(labels), [MISSED if answer is None else answer for answer in given]


def _mean_recall(classes: Collection[ClassScores]) -> Estimate:
    """Mean of the recalls, and a normal interval around it.

    The variance of each is that of Agresti and Coull (1998), with about two hits and two misses
    added: three of three right are not yet a certain 100 %.
    """
    mean = fmean(one.recall for one in classes)
    variance = 0.0
    for one in classes:
        effective = one.pictures + Z**2
        share = (one.recall * one.pictures + Z**2 / 2) / effective
        variance += share * (1 - share) / effective
    half = Z * math.sqrt(variance) / len(classes)
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half))
