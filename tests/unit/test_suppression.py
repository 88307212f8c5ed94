"""Suppression by the compiled code against its plain definition."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_worker.inference.native.kernels import choose_kernel
from fer_worker.inference.native.library import Library
from fer_worker.inference.native.operations import NativeOps
from fer_worker.inference.weights import FILE, read_weights
from tests.numpy_networks import minimum_overlap, suppress, union_overlap

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
OPS = NativeOps(Library(choose_kernel()), read_weights(FILE))


def kept_one_by_one(
    boxes: Floats, scores: Floats, threshold: float, overlap: Callable[[Floats, Floats], float]
) -> list[int]:
    return suppress(boxes, np.argsort(-scores, kind="stable"), threshold, overlap)


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
    kept = OPS.suppress_by_union(*found, threshold)
    assert kept.tolist() == kept_one_by_one(*found, threshold, union_overlap)


@given(candidates(), st.sampled_from([0.5, 0.7]))
@settings(deadline=None)
def test_by_minimum_keeps_what_the_definition_keeps(
    found: tuple[Floats, Floats], threshold: float
) -> None:
    kept = OPS.suppress_by_minimum(*found, threshold)
    assert kept.tolist() == kept_one_by_one(*found, threshold, minimum_overlap)


@pytest.mark.parametrize("suppression", [OPS.suppress_by_union, OPS.suppress_by_minimum])
def test_no_boxes_keep_no_boxes(
    suppression: Callable[[Floats, Floats, float], Indices],
) -> None:
    kept = suppression(np.empty((0, 4), np.float32), np.empty(0, np.float32), 0.7)
    assert kept.shape == (0,)
    assert kept.dtype == np.int64


def test_a_box_inside_another_goes_by_minimum_and_stays_by_union() -> None:
    boxes = np.array([[0, 0, 100, 100], [40, 40, 60, 60]], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    assert OPS.suppress_by_minimum(boxes, scores, 0.7).tolist() == [0]
    assert OPS.suppress_by_union(boxes, scores, 0.7).tolist() == [0, 1]


def test_an_overlap_of_just_the_threshold_is_no_reason_to_go() -> None:
    boxes = np.array([[0, 0, 3, 1], [1, 0, 4, 1]], np.float32)  # 2 of 4 shared
    scores = np.array([0.9, 0.8], np.float32)
    assert OPS.suppress_by_union(boxes, scores, 0.5).tolist() == [0, 1]


def test_of_equal_boxes_and_scores_one_stays() -> None:
    boxes = np.array([[0, 0, 10, 10]] * 3, np.float32)
    scores = np.full(3, 0.9, np.float32)
    assert OPS.suppress_by_union(boxes, scores, 0.7).tolist() == [0]
    assert len(OPS.suppress_by_minimum(boxes, scores, 0.7)) == 1


def test_ties_are_decided_without_looking_at_boxes_elsewhere() -> None:
    pair = np.array([[0, 0, 10, 10], [0, 0, 12, 12]], np.float32)
    far = np.array([[1000 * i, 0, 1000 * i + 9, 9] for i in range(1, 100)], np.float32)
    scores = np.full(101, 1, np.float32)
    assert OPS.suppress_by_minimum(pair, scores[:2], 0.7).tolist() == [1]
    kept = OPS.suppress_by_minimum(np.vstack([pair, far]), scores, 0.7)
    assert sorted(kept.tolist()) == list(range(1, 101))


@pytest.mark.parametrize("suppression", [OPS.suppress_by_union, OPS.suppress_by_minimum])
def test_a_crowd_keeps_what_the_definition_keeps(
    suppression: Callable[[Floats, Floats, float], Indices],
) -> None:
    chance = np.random.default_rng(0)
    corners = chance.integers(0, 400, (700, 2))
    boxes = np.hstack([corners, corners + chance.integers(20, 40, (700, 2))]).astype(np.float32)
    scores = chance.permutation(700).astype(np.float32)
    overlap = union_overlap if suppression == OPS.suppress_by_union else minimum_overlap
    assert suppression(boxes, scores, 0.5).tolist() == kept_one_by_one(boxes, scores, 0.5, overlap)
