from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_worker.tools.html_report.bins import (
    MAX_BINS,
    TIMES_MS,
    Bins,
    twice,
    wider_count,
    wider_time,
)


@dataclass
class Places:
    """Remembers what was put into it."""

    all: list[int] = field(default_factory=list)

    def absorb(self, other: "Places") -> None:
        self.all += other.all


@given(st.lists(st.integers(-(10**12), 10**12)), st.sampled_from([wider_time, wider_count, twice]))
def test_every_place_is_in_the_bin_that_it_belongs_to(places: list[int], wider) -> None:  # type: ignore[no-untyped-def]
    bins: Bins[Places] = Bins(Places, 200 if wider is wider_time else 1, wider)
    for place in places:
        bins.at(place).all.append(place)
    assert len(bins.range) <= MAX_BINS
    assert sorted(place for content in bins for place in content.all) == sorted(places)
    for number, content in bins.contents.items():
        assert number in bins.range
        assert {place // bins.width for place in content.all} == {number}


def test_bins_are_no_wider_than_their_range_needs() -> None:
    bins: Bins[Places] = Bins(Places, TIMES_MS[0], wider_time)
    for ms in range(0, 30_000, 200):
        bins.at(ms)
    assert (bins.width, len(bins.contents)) == (200, 150)
    bins.at(200 * MAX_BINS)
    assert (bins.width, len(bins.contents)) == (1000, 31)


def test_bins_without_anything_are_left_out() -> None:
    bins: Bins[Places] = Bins(Places, 1000, wider_time)
    for ms in (0, 100_000):
        bins.at(ms)
    assert list(bins.contents) == [0, 100]
    assert bins.range == range(101)


def test_bins_follow_the_axis_whatever_comes_first() -> None:
    bins: Bins[Places] = Bins(Places, 1, twice)
    for place in (5, 1, 3):
        bins.at(place).all.append(place)
    assert [content.all for content in bins] == [[1], [3], [5]]


@pytest.mark.parametrize("wider", [wider_time, wider_count, twice])
def test_every_width_is_a_multiple_of_the_one_before(wider) -> None:  # type: ignore[no-untyped-def]
    width = 200 if wider is wider_time else 1
    for _ in range(40):
        assert wider(width) > width
        assert wider(width) % width == 0
        width = wider(width)
