"""Several iterators at once, for sources that do not wait for each other."""

from collections.abc import Iterator, Sequence
from queue import Empty, Queue
from threading import Thread
from typing import TypeVar

Item = TypeVar("Item")

LOOK_S = 0.1
"""How often a wait lets a signal through."""


def side_by_side(parts: Sequence[Iterator[Item]]) -> Iterator[Item]:
    """Run iterators in a thread each, and give what they give as it comes.

    A slow reader slows them down. The threads are daemons: where the reader leaves before the end,
    they end with the program.

    Raises:
        Exception: the first that one of them raises.
    """
    inbox: Queue[Item | Exception | None] = Queue(len(parts))

    def run(part: Iterator[Item]) -> None:
        try:
            for item in part:
                inbox.put(item)
        except Exception as error:
            inbox.put(error)
        inbox.put(None)

    for part in parts:
        Thread(target=run, args=(part,), daemon=True).start()
    left = len(parts)
    while left:
        try:
            taken = inbox.get(timeout=LOOK_S)
        except Empty:
            continue
        if isinstance(taken, Exception):
            raise taken
        if taken is None:
            left -= 1
        else:
            yield taken
