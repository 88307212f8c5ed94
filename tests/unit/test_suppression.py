"""Suppression against its plain definition: boxes one by one, as facenet-pytorch's sources say."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_worker.inference.mtcnn import suppression
from fer_worker.inference.mtcnn.suppression import suppress_by_minimum, suppress_by_union

Floats = NDArray[np.float32]


def union_overlap(a: Floats, b: Floats) -> float:
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return float(shared / (sum(areas) - shared))


def minimum_overlap(a: Floats, b: Floats) -> float:
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return float(width * height / min(areas))


def kept_one_by_one(
    boxes: Floats, scores: Floats, threshold: float, overlap: Callable[[Floats, Floats], float]
) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


@st.composite
def candidates(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Up to 40 boxes in whole pixels, close together, no two of the same score."""
    count = draw(st.integers(0, 40))
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    corners = chance.integers(-20, 40, (count, 2))
    sides = chance.integers(1, 50, (count, 2))
    scores = chance.permutation(count) / max(count, 1)
    return np.hstack([corners, corners + sides]).astype(np.float32), scores.astype(np.float32)


@given(candidates(), st.sampled_from([0.5, 0.7]))
@settings(deadline=None)
def test_by_union_keeps_what_the_definition_keeps(
    found: tuple[Floats, Floats], threshold: float
) -> None:
    kept = suppress_by_union(*found, threshold)
    assert kept.tolist() == kept_one_by_one(*found, threshold, union_overlap)


@given(candidates(), st.sampled_from([0.5, 0.7]))
@settings(deadline=None)
def test_by_minimum_keeps_what_the_definition_keeps(
    found: tuple[Floats, Floats], threshold: float
) -> None:
    kept = suppress_by_minimum(*found, threshold)
    assert kept.tolist() == kept_one_by_one(*found, threshold, minimum_overlap)


@pytest.mark.parametrize("suppress", [suppress_by_union, suppress_by_minimum])
def test_no_boxes_keep_no_boxes(
    suppress: Callable[[Floats, Floats, float], NDArray[np.int64]],
) -> None:
    kept = suppress(np.empty((0, 4), np.float32), np.empty(0, np.float32), 0.7)
    assert kept.shape == (0,)
    assert kept.dtype == np.int64


def test_a_box_inside_another_goes_by_minimum_and_stays_by_union() -> None:
    boxes = np.array([[0, 0, 100, 100], [40, 40, 60, 60]], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    assert suppress_by_minimum(boxes, scores, 0.7).tolist() == [0]
    assert suppress_by_union(boxes, scores, 0.7).tolist() == [0, 1]


def test_an_overlap_of_just_the_threshold_is_no_reason_to_go() -> None:
    boxes = np.array([[0, 0, 3, 1], [1, 0, 4, 1]], np.float32)  # 2 of 4 shared
    scores = np.array([0.9, 0.8], np.float32)
    assert suppress_by_union(boxes, scores, 0.5).tolist() == [0, 1]


def test_of_equal_boxes_and_scores_one_stays() -> None:
    boxes = np.array([[0, 0, 10, 10]] * 3, np.float32)
    scores = np.full(3, 0.9, np.float32)
    assert suppress_by_union(boxes, scores, 0.7).tolist() == [0]
    assert len(suppress_by_minimum(boxes, scores, 0.7)) == 1


def test_ties_are_decided_without_looking_at_boxes_elsewhere() -> None:
    pair = np.array([[0, 0, 10, 10], [0, 0, 12, 12]], np.float32)
    far = np.array([[1000 * i, 0, 1000 * i + 9, 9] for i in range(1, 100)], np.float32)
    scores = np.full(101, 1, np.float32)
    assert suppress_by_minimum(pair, scores[:2], 0.7).tolist() == [1]
    kept = suppress_by_minimum(np.vstack([pair, far]), scores, 0.7)
    assert sorted(kept.tolist()) == list(range(1, 101))


@pytest.mark.parametrize("suppress", [suppress_by_union, suppress_by_minimum])
def test_a_crowd_keeps_what_the_definition_keeps(
    suppress: Callable[[Floats, Floats, float], NDArray[np.int64]],
) -> None:
    chance = np.random.default_rng(0)
    corners = chance.integers(0, 400, (700, 2))
    boxes = np.hstack([corners, corners + chance.integers(20, 40, (700, 2))]).astype(np.float32)
    scores = chance.permutation(700).astype(np.float32)
    overlap = union_overlap if suppress is suppress_by_union else minimum_overlap
    assert suppress(boxes, scores, 0.5).tolist() == kept_one_by_one(boxes, scores, 0.5, overlap)


@pytest.mark.parametrize("suppress", [suppress_by_union, suppress_by_minimum])
def test_looking_at_fewer_pairs_at_once_keeps_the_same(
    suppress: Callable[[Floats, Floats, float], NDArray[np.int64]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance = np.random.default_rng(1)
    corners = chance.integers(0, 200, (300, 2))
    boxes = np.hstack([corners, corners + 30]).astype(np.float32)
    scores = chance.permutation(300).astype(np.float32)
    kept = suppress(boxes, scores, 0.5)
    for pairs in (1, 100, 5000):
        monkeypatch.setattr(suppression, "_PAIRS_AT_ONCE", pairs)
        assert np.array_equal(suppress(boxes, scores, 0.5), kept)
