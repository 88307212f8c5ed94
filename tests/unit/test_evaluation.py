import math
import random

import pytest

from fer_client.errors import FerWorkerError
from fer_schemas import Emotion, EmotionScores, FaceResult
from fer_worker.tools.evaluation.recognition import Outcome
from fer_worker.tools.evaluation.scores import Paired, compare, evaluate, score, wilson

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


def test_means_over_emotions_by_hand() -> None:
    scores = score(BY_HAND)
    assert scores.macro.precision == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert scores.macro.f1 == pytest.approx((3 / 4 + 1 / 3) / 2)
    assert scores.weighted.recall == pytest.approx((4 * 3 / 4 + 4 * 1 / 4) / 8)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 1, 0, 0.7935), (3, 10, 0.1078, 0.6032), (50, 50, 0.9287, 1)],
)
def test_interval_of_a_share_is_that_of_wilson(
    hits: int, trials: int, low: float, high: float
) -> None:
    estimate = wilson(hits, trials)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)


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
    ("only_a", "only_b", "p_value"),
    [(0, 0, 1), (0, 3, 1 / 4), (1, 3, 5 / 8), (3, 0, 1 / 4), (7, 7, 1)],
)
def test_paired_test_is_the_exact_one_of_mcnemar(only_a: int, only_b: int, p_value: float) -> None:
    paired = Paired(both=50, only_a=only_a, only_b=only_b, neither=20)
    assert paired.p_value == pytest.approx(p_value)


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
