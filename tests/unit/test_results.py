from collections.abc import Sequence

import pytest

from fer_schemas import (
    BatchRequest,
    BatchResult,
    Emotion,
    ErrorCode,
    Frame,
    RequestError,
    Status,
)
from fer_worker.inference.types import Analysis, Box, EngineOptions, Face, Percent
from fer_worker.limits import FrameLimits
from fer_worker.serving.frame_analysis import analyze_frame
from fer_worker.serving.result_builder import FrameOutcome, expired, summarize
from tests.engines import BrokenEngine, SizeEngine, plain_jpeg

DEFAULT = EngineOptions()


class FixedEngine(SizeEngine):
    def __init__(self, *faces: Face) -> None:
        super().__init__()
        self.faces = faces

    def analyze(self, image: object, faces: object) -> Analysis:
        return Analysis(self.faces, 2.0, 1.0)


def face(box: Box, **scores: float) -> Face:
    return Face(box, 0.98765, {emotion: scores.get(emotion, 0.0) for emotion in Emotion})


def outcome(*faces: Face) -> FrameOutcome:
    frame = Frame(jpeg=plain_jpeg(40), id="f")
    return analyze_frame(FixedEngine(*faces), frame, 0, "all", FrameLimits())


def failed(index: int) -> FrameOutcome:
    return analyze_frame(SizeEngine(), Frame(jpeg=b""), index, "first", FrameLimits())


def summary(
    outcomes: Sequence[FrameOutcome],
    queued_ms: float | None = None,
    options: EngineOptions = DEFAULT,
) -> BatchResult:
    frames = tuple(Frame(jpeg=b"x") for _ in outcomes)
    return summarize(
        BatchRequest(version=1, frames=frames, camera_id="door-1"),
        outcomes,
        options=options,
        total_ms=12.345,
        queued_ms=queued_ms,
        correlation_id="c",
        redelivered=False,
        worker="host/1",
    )


NEAR = face(Box(1, 2, 30, 40), happy=0.504, neutral=0.496)
FAR = face(Box(5, 5, 10, 10), sad=0.9)


def test_dominant_emotion_is_that_of_the_first_face() -> None:
    result = summary([outcome(NEAR, FAR)])
    assert result.emotions[0].emotion is Emotion.HAPPY
    assert result.emotions[0].confidence == 0.5
    assert result.faces_areas == (1200,)
    assert [found.area for found in result.frames[0].faces] == [1200, 100]
    assert result.frames[0].faces[0].box == (1, 2, 30, 40)
    assert result.frames[0].faces[0].probability == 0.9877


@pytest.mark.parametrize("options", [DEFAULT, EngineOptions(min_face_size=Percent("3%"))])
def test_the_engine_says_what_its_options_were(options: EngineOptions) -> None:
    engine = summary([outcome(NEAR)], options=options).engine
    assert engine is not None
    assert {name: getattr(options, name) for name in type(engine).model_fields} == (
        engine.model_dump()
    )


def test_of_equal_scores_the_first_is_dominant_as_fer_has_it() -> None:
    # Equal only once rounded to two decimals: fer compares what it has rounded.
    tie = face(Box(0, 0, 9, 9), fear=0.301, neutral=0.304)
    assert summary([outcome(tie)]).emotions[0].emotion is Emotion.FEAR


def test_most_relevant_frame_has_the_largest_first_face() -> None:
    assert summary([outcome(FAR), outcome(), outcome(NEAR)]).most_relevant_frame == 2
    assert summary([outcome(), outcome()]).most_relevant_frame is None


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([outcome(NEAR), outcome()], Status.SUCCESS),
        ([outcome(NEAR), failed(1)], Status.PARTIAL),
        ([failed(0), failed(1)], Status.ERROR),
    ],
)
def test_status_tells_how_many_frames_failed(outcomes: list[FrameOutcome], status: Status) -> None:
    result = summary(outcomes)
    assert result.status is status
    assert len(result.emotions) == len(result.faces_areas) == len(result.frames) == 2


def test_timings_are_summed_over_the_frames() -> None:
    timings = summary([outcome(NEAR), outcome(FAR)], queued_ms=-3.0).timings_ms
    assert timings is not None
    assert (timings.detect, timings.classify, timings.total) == (4.0, 2.0, 12.3)
    assert timings.queued == 0.0  # the sender's clock is ahead of ours


def test_fault_of_the_engine_is_an_outcome() -> None:
    broken = analyze_frame(
        BrokenEngine(), Frame(jpeg=plain_jpeg(40), id="f"), 3, "first", FrameLimits()
    )
    assert broken.frame.id == "f"
    assert broken.error == RequestError(
        frame=3, code=ErrorCode.INTERNAL_ERROR, message="the worker failed on this frame"
    )


def test_expired_result_of_an_unreadable_request_has_no_frames() -> None:
    result = expired(None, "late", correlation_id="c", redelivered=True, worker="host/1")
    assert (result.status, result.emotions, result.frames) == (Status.EXPIRED, (), ())
    assert [error.message for error in result.errors] == ["late"]
