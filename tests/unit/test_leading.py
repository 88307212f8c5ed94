import pytest

from fer_schemas import Emotion, EmotionScores
from fer_worker.leading import in_words, leading


def scores(**given: float) -> EmotionScores:
    return EmotionScores.model_validate({**{str(name): 0.0 for name in Emotion}, **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"happy": 0.9}, "happy 0.90"),
        ({"neutral": 0.34, "sad": 0.33}, "undecided: neutral 0.34, sad 0.33"),
        ({"sad": 0.34, "neutral": 0.34}, "undecided: sad 0.34, neutral 0.34"),
        ({"happy": 0.35, "angry": 0.3}, "happy 0.35"),
        ({"happy": 0.35, "angry": 0.31}, "undecided: happy 0.35, angry 0.31"),
    ],
)
def test_close_scores_leave_a_face_undecided(given: dict[str, float], said: str) -> None:
    found = leading(scores(**given))
    assert next(iter(found)) == scores(**given).strongest()[0]
    assert in_words(found) == said
