import os
import signal
from multiprocessing.connection import wait

from fer_worker.supervision.event_queue import Mailbox


def test_events_come_out_in_their_order_and_once() -> None:
    mailbox: Mailbox[int] = Mailbox()
    for number in range(5):
        mailbox.post(number)
    assert mailbox.take() == [0, 1, 2, 3, 4]
    assert mailbox.take() == []


def test_posting_wakes_whoever_waits() -> None:
    mailbox: Mailbox[int] = Mailbox()
    assert wait([mailbox], 0) == []  # type: ignore[list-item]
    mailbox.post(1)
    assert len(wait([mailbox], 10)) == 1  # type: ignore[list-item]
    mailbox.take()
    assert wait([mailbox], 0) == []  # type: ignore[list-item]


def test_signal_handler_may_post_at_any_moment() -> None:
    mailbox: Mailbox[int] = Mailbox()
    before = signal.signal(signal.SIGUSR1, lambda number, _: mailbox.post(number))
    try:
        for _ in range(1000):
            os.kill(os.getpid(), signal.SIGUSR1)
        taken = mailbox.take()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(taken) == 1000


def test_many_unread_events_do_not_block() -> None:
    mailbox: Mailbox[int] = Mailbox()
    for number in range(100_000):
        mailbox.post(number)
    assert len(mailbox.take()) == 100_000
