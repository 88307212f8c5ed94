import math
import random
from collections.abc import Sequence

import pytest
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)

from fer_client.errors import FerWorkerError
from fer_schemas import Emotion, EmotionScores, FaceResult
from fer_worker.tools.evaluation.scores import (
    Outcome,
    Paired,
    Scores,
    compare,
    evaluate,
    score,
    wilson,
)

ANGRY, FEAR, HAPPY, SAD = Emotion.ANGRY, Emotion.FEAR, Emotion.HAPPY, Emotion.SAD

Answers = list[tuple[Emotion, Emotion | None]]


def face(*strongest: Emotion) -> FaceResult:
    """A face whose strongest emotions are these, equally."""
    scores = {emotion: 0.4 if emotion in strongest else 0.0 for emotion in Emotion}
    return FaceResult(
        box=(0, 0, 50, 60), area=3000, probability=0.99, emotions=EmotionScores(**scores)
    )


def outcome(label: Emotion, answer: Emotion | None) -> Outcome:
    return Outcome("picture", label, None if answer is None else face(answer))


def failed(label: Emotion) -> Outcome:
    return Outcome("picture", label, error="damaged")


BY_HAND: Answers = [
    *[(HAPPY, HAPPY)] * 3,
    *[(HAPPY, SAD)] * 1,
    *[(SAD, SAD)] * 1,
    *[(SAD, HAPPY)] * 1,
    *[(SAD, FEAR)] * 1,  # nothing is labelled so
    *[(SAD, None)] * 1,
]


def test_strongest_emotion_is_the_answer_and_of_equals_the_first() -> None:
    assert Outcome("p", SAD, face(FEAR)).emotion is FEAR
    assert Outcome("p", SAD, face(SAD, FEAR)).emotion is FEAR
    assert Outcome("p", SAD).emotion is None


def test_missed_face_is_wrong_among_all_and_not_counted_among_found_ones() -> None:
    figures = evaluate(outcome(*answer) for answer in BY_HAND)
    assert (figures.found, figures.failed) == (7, 0)
    assert figures.detection_rate.value == 7 / 8
    assert figures.of_found is not None
    assert (figures.of_found.right, figures.of_found.pictures) == (4, 7)
    assert (figures.of_all.right, figures.of_all.pictures) == (4, 8)
    assert figures.of_found.balanced_accuracy.value == pytest.approx((3 / 4 + 1 / 3) / 2)
    assert figures.of_all.balanced_accuracy.value == pytest.approx((3 / 4 + 1 / 4) / 2)


def test_scores_of_an_emotion_by_hand() -> None:
    happy = score(BY_HAND).by_emotion[HAPPY]
    assert (happy.pictures, happy.precision, happy.recall, happy.f1) == (4, 3 / 4, 3 / 4, 3 / 4)
    sad = score(BY_HAND).by_emotion[SAD]
    assert (sad.precision, sad.recall, sad.f1) == (1 / 2, 1 / 4, 1 / 3)


def test_emotion_without_pictures_is_not_scored_and_answers_of_it_are_wrong() -> None:
    figures = evaluate(outcome(*answer) for answer in BY_HAND)
    assert list(figures.of_all.by_emotion) == list(figures.confusion) == [HAPPY, SAD]
    assert figures.confusion[SAD][FEAR] == 1
    assert figures.confusion[SAD][None] == 1
    assert sum(figures.confusion[SAD].values()) == 4


def test_emotion_whose_faces_are_all_missed_is_scored_among_all_alone() -> None:
    figures = evaluate([outcome(HAPPY, HAPPY), outcome(FEAR, None)])
    assert figures.of_found is not None
    assert list(figures.of_found.by_emotion) == [HAPPY]
    assert figures.of_found.macro.recall == 1
    assert figures.of_all.macro.recall == 1 / 2


def test_no_face_at_all_leaves_nothing_to_score_among_found_ones() -> None:
    figures = evaluate([outcome(HAPPY, None)])
    assert figures.of_found is None
    assert figures.of_all.accuracy.value == figures.of_all.by_emotion[HAPPY].f1 == 0


def test_pictures_that_could_not_be_analysed_are_in_no_figure() -> None:
    figures = evaluate([outcome(HAPPY, HAPPY), failed(HAPPY), failed(FEAR)])
    assert figures.failed == 2
    assert figures.of_all.pictures == 1
    assert list(figures.confusion) == [HAPPY]


def test_nothing_analysed_is_an_error() -> None:
    with pytest.raises(FerWorkerError, match="no picture could be analysed"):
        evaluate([failed(HAPPY)])


def answers(seed: int) -> Answers:
    """Answers of a kind that occurs: right more often than not, some faces missed."""
    choice = random.Random(seed)
    labels = choice.choices(list(Emotion)[: 2 + seed], k=40 * seed)
    options = (*Emotion, None)
    return [(label, label if choice.random() < 0.6 else choice.choice(options)) for label in labels]


def check_against_scikit_learn(scores: Scores, pairs: Sequence[tuple[str, str]]) -> None:
    labels, given = zip(*pairs, strict=True)
    assert scores.accuracy.value == pytest.approx(accuracy_score(labels, given))
    present = [str(emotion) for emotion in scores.by_emotion]
    by_emotion = precision_recall_fscore_support(labels, given, labels=present, zero_division=0)
    for column, name in zip(by_emotion, ("precision", "recall", "f1", "pictures"), strict=True):
        ours = [getattr(one, name) for one in scores.by_emotion.values()]
        assert ours == pytest.approx(list(column))
    for mean in ("macro", "weighted"):
        *theirs, _ = precision_recall_fscore_support(
            labels, given, labels=present, average=mean, zero_division=0
        )
        ours = getattr(scores, mean)
        assert [ours.precision, ours.recall, ours.f1] == pytest.approx(theirs)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("seed", range(1, 6))
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    drawn = answers(seed)
    figures = evaluate(outcome(*answer) for answer in drawn)
    every = [(label.value, str(answer)) for label, answer in drawn]
    check_against_scikit_learn(figures.of_all, every)
    found = [(label.value, answer.value) for label, answer in drawn if answer is not None]
    assert figures.of_found is not None
    check_against_scikit_learn(figures.of_found, found)
    for scores, pairs in ((figures.of_all, every), (figures.of_found, found)):
        assert scores.balanced_accuracy.value == pytest.approx(
            balanced_accuracy_score(*zip(*pairs, strict=True))
        )
    names = [*map(str, Emotion), "None"]
    theirs = confusion_matrix(*zip(*every, strict=True), labels=names)
    ours = [list(figures.confusion[emotion].values()) for emotion in figures.confusion]
    rows = [list(Emotion).index(emotion) for emotion in figures.confusion]
    assert ours == theirs[rows].tolist()


@pytest.mark.parametrize(("hits", "trials"), [(0, 1), (1, 1), (3, 10), (1234, 3589), (50, 50)])
def test_interval_of_a_share_is_that_of_wilson(hits: int, trials: int) -> None:
    theirs = binomtest(hits, trials).proportion_ci(method="wilson")
    ours = wilson(hits, trials)
    assert ours.value == hits / trials
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_interval_of_balanced_accuracy_holds_the_truth_about_95_times_of_100() -> None:
    # Recalls of 0.9 and 0.3 over 60 and 30 pictures: the truth is 0.6.
    choice = random.Random(1)
    held = 0
    for _ in range(400):
        drawn: Answers = [(HAPPY, HAPPY if choice.random() < 0.9 else SAD) for _ in range(60)]
        drawn += [(SAD, SAD if choice.random() < 0.3 else HAPPY) for _ in range(30)]
        estimate = score(drawn).balanced_accuracy
        held += estimate.low <= 0.6 <= estimate.high
    assert 0.92 <= held / 400 <= 0.98


def test_few_right_pictures_are_not_yet_certainty() -> None:
    estimate = score([(HAPPY, HAPPY)] * 3).balanced_accuracy
    assert estimate.value == estimate.high == 1
    assert estimate.low < 0.9


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (0, 3), (5, 19), (19, 5), (7, 7), (900, 1000)]
)
def test_paired_test_is_the_exact_one_of_mcnemar(only_a: int, only_b: int) -> None:
    ours = Paired(both=50, only_a=only_a, only_b=only_b, neither=20).p_value
    theirs = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert ours == pytest.approx(theirs)


def test_gain_of_pairs_by_hand() -> None:
    gain = Paired(both=60, only_a=5, only_b=15, neither=20).gain
    centre = 10 / 102
    half = 1.959964 * math.sqrt((22 / 102 - centre**2) / 102)
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.1, centre - half, centre + half))


def test_interval_of_a_gain_holds_the_truth_about_95_times_of_100() -> None:
    # 4 % are right under A alone, 10 % under B alone: the truth is 0.06.
    choice = random.Random(2)
    held = 0
    for _ in range(400):
        drawn = choice.choices(
            [(True, True), (True, False), (False, True), (False, False)], (60, 4, 10, 26), k=150
        )
        gain = Paired.count(drawn).gain
        held += gain.low <= 0.06 <= gain.high
    assert 0.92 <= held / 400 <= 0.98


def test_where_nothing_differs_the_interval_has_a_width() -> None:
    gain = Paired(both=8, only_a=0, only_b=0, neither=1).gain
    assert gain.value == 0
    assert gain.low == -gain.high < -0.1


def test_comparison_leaves_out_what_one_of_them_could_not_analyse() -> None:
    a = [outcome(HAPPY, HAPPY), outcome(HAPPY, None), outcome(SAD, SAD), failed(SAD)]
    b = [outcome(HAPPY, SAD), outcome(HAPPY, HAPPY), failed(SAD), outcome(SAD, SAD)]
    comparison = compare(a, b)
    assert comparison.found == Paired(both=1, only_a=0, only_b=1, neither=0)
    assert comparison.right == Paired(both=0, only_a=1, only_b=1, neither=0)
    with pytest.raises(FerWorkerError, match="under both sets of options"):
        compare(a[2:], b[2:])
