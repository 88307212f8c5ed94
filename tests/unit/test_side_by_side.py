"""Several sources at once."""

import threading
from collections.abc import Iterator

import pytest

from fer_worker.tools.submission.side_by_side import side_by_side


def test_one_that_waits_holds_no_other_up() -> None:
    others_ended = threading.Event()

    def waiting() -> Iterator[int]:
        others_ended.wait()
        yield 4

    found = side_by_side([waiting(), iter([1, 2, 3])])
    assert [next(found) for _ in range(3)] == [1, 2, 3]
    others_ended.set()
    assert list(found) == [4]


def test_what_one_raises_is_raised() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        list(side_by_side([failing()]))
