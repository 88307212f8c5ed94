from typing import Any

import pytest

from fer_client.amqp.connection import Connection
from fer_client.config import BrokerConfig


class NeverCalled:
    def on_open(self, *_: object) -> None: ...
    def on_lost(self) -> None: ...
    def on_refused(self, *_: object) -> None: ...


class Unclosable:
    """As pika's is where it fails an assertion of its own."""

    is_open = True

    def close(self) -> None:
        raise AssertionError("of pika's")


def test_what_was_posted_is_kept_where_the_library_fails_in_the_middle_of_it() -> None:
    called: list[int] = []

    def fail() -> None:
        raise ValueError("of a callback's")

    connection: Any = Connection(BrokerConfig(), "test", NeverCalled(), lambda _: None)
    connection._current = Unclosable()
    for callback in (lambda: called.append(1), fail, lambda: called.append(2)):
        connection.call(callback)
    with pytest.raises(AssertionError, match="of pika's"):
        connection._run_posted()
    connection.call(lambda: called.append(3))
    connection._run_posted()
    assert called == [1, 2, 3]
