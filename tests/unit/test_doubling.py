import click
import pytest

from fer_worker.cli.types import Doubling

COUNTS = Doubling(int, 1, 1024)
RATES = Doubling(float, 0.01, 1000)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("4", (4,)),
        ("1:16", (1, 2, 4, 8, 16)),
        ("1:10", (1, 2, 4, 8, 10)),
        ("3:12", (3, 6, 12)),
        ("5:5", (5,)),
        ("1,3,2:4", (1, 3, 2, 4)),
    ],
)
def test_range_doubles_up_to_its_last_number(text: str, numbers: tuple[int, ...]) -> None:
    assert COUNTS.convert(text, None, None) == numbers


def test_rates_may_be_fractions() -> None:
    assert RATES.convert("0.5:1.5", None, None) == (0.5, 1.0, 1.5)


@pytest.mark.parametrize("text", ["", "many", "1:", ":4", "1:2:3", "1.5", "1,,2", "1:16:"])
def test_what_is_no_number_and_no_range_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither a number nor a range such as 1:16"):
        COUNTS.convert(text, None, None)


@pytest.mark.parametrize("text", ["0", "-1", "0:4", "1:1025", "99999999999"])
def test_what_is_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not within 1:1024"):
        COUNTS.convert(text, None, None)


@pytest.mark.parametrize("text", ["nan", "inf", "1:inf"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"not within 0.01:1000"):
        RATES.convert(text, None, None)


def test_range_that_goes_down_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="goes down"):
        COUNTS.convert("4:1", None, None)
