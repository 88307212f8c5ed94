"""What is said of a run while it goes on, and at its end."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fer_schemas import BatchResult
from fer_worker.cli.progress import KEPT_FAILURES, RunStats
from fer_worker.tools.counted import counted
from fer_worker.tools.media import MediaFrame
from fer_worker.tools.submission.answers import Answer

NOW = datetime.now(UTC)


def answer(*ids: str, failed: bool = False, **times: Any) -> Answer:
    none = {"emotion": None, "confidence": 0.0}
    size = {"width": None, "height": None} if failed else {"width": 64, "height": 48}
    errors = [{"frame": n, "code": "not_a_jpeg", "message": "no"} for n in range(len(ids))]
    result = BatchResult.model_validate(
        {
            "status": "error" if failed else "success",
            "worker": "host/1",
            "frames": [{"id": id_, "faces": [], **size} for id_ in ids],
            "emotions": [none] * len(ids),
            "faces_areas": [0] * len(ids),
            "errors": errors if failed else [],
            "timings_ms": {"decode": 5, "detect": 20, "classify": 5, **times} if times else None,
        }
    )
    frames = [MediaFrame(b"", id_, id_) for id_ in ids]
    return Answer(frames, NOW, result=result, latency_ms=500.0)


def test_frames_that_failed_are_named_with_the_reason() -> None:
    stats = RunStats()
    stats.take(answer("good.jpg"))
    for number in range(KEPT_FAILURES + 5):
        stats.take(answer(f"{number}.jpg", failed=True))
    first, *_, last = stats.failures()
    assert first == "failed: 0.jpg: not_a_jpeg: no"
    assert last == "failed: 5 frames more"


def test_latency_of_files_is_without_what_their_batches_waited_for() -> None:
    stats = RunStats()
    stats.take(answer("a.jpg", queued=300, total=150))
    assert stats.summary().endswith("latency per batch without waiting: p50 80 ms, p95 80 ms")


def test_trouble_is_shown_instead_of_figures() -> None:
    troubles = [""]
    stats = RunStats("door", trouble=lambda: troubles[0])
    assert stats.summary_line() == "0 sent, 0 answered, 0 faces, 0.0 frames/s, p50 -"
    troubles[0] = "connection refused"
    assert stats.summary_line() == "0 sent, 0 answered, connection refused"


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (1000, "1,000 frames")]
)
def test_counts_are_grammatical(number: int, said: str) -> None:
    assert counted(number, "frame") == said
    assert counted(number, "batch", "batches").startswith(said.split()[0])
