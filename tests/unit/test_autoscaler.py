from itertools import pairwise

import pytest

from fer_worker.supervision.autoscaler import Autoscaler, Load

QUIET_S = 30.0
BATCH_S = 0.1
"""What a batch takes one thread in the simulation."""


def autoscaler(least: int = 1, most: int = 8, threads: int = 1) -> Autoscaler:
    return Autoscaler(least, most, threads, target_wait_s=1.0, quiet_s=QUIET_S)


def load(waiting: int = 0, rate: float = 10.0, busy: float = 0.0, moment_s: float = 0.0) -> Load:
    return Load(moment_s, waiting, rate, busy)


@pytest.mark.parametrize(
    ("desired", "waiting", "wanted"),
    [(1, 11, 2), (1, 10, 1), (2, 11, 3), (4, 500, 6), (7, 500, 8), (8, 500, 8)],
)
def test_more_processes_where_batches_wait_longer_than_the_target(
    desired: int, waiting: int, wanted: int
) -> None:
    assert autoscaler().decide(desired, load(waiting), settled=True) == wanted


def test_nothing_is_decided_before_the_last_decision_has_shown_what_it_does() -> None:
    assert autoscaler().decide(2, load(500), settled=False) == 2


def test_what_waits_while_nothing_is_done_waits_for_ever() -> None:
    assert load(1, rate=0.0).wait_s == float("inf")
    assert autoscaler(least=0).decide(0, load(1, rate=0.0), settled=True) == 1


def test_one_fewer_after_a_quiet_time_and_another_after_the_next() -> None:
    scaler = autoscaler()
    desired, moments = 4, []
    for second in range(200):
        wanted = scaler.decide(desired, load(moment_s=float(second)), settled=True)
        if wanted != desired:
            assert wanted == desired - 1
            moments.append(second)
            desired = wanted
    assert desired == 1
    assert moments == [30, 60, 90]


def test_a_busy_moment_begins_the_quiet_time_anew() -> None:
    scaler = autoscaler()
    for second in range(100):
        busy = 1.9 if second % 20 == 0 else 0.0
        assert scaler.decide(2, load(busy=busy, moment_s=float(second)), settled=True) == 2


def test_nobody_is_sent_away_whose_work_the_others_could_not_carry() -> None:
    scaler = autoscaler(threads=2)
    for second in range(100):
        assert scaler.decide(3, load(busy=3.3, moment_s=float(second)), settled=True) == 3
    assert scaler.decide(3, load(busy=3.1, moment_s=100.0), settled=True) == 3
    assert scaler.decide(3, load(busy=3.1, moment_s=131.0), settled=True) == 2


@pytest.mark.parametrize("arriving", [5.0, 15.0, 35.0, 61.0])
def test_a_steady_load_finds_its_number_and_stays_there(arriving: float) -> None:
    scaler = autoscaler()
    desired, waiting, history = 1, 0.0, []
    for second in range(600):
        done = min(waiting + arriving, desired / BATCH_S)
        waiting = waiting + arriving - done
        now = Load(float(second), int(waiting), done, done * BATCH_S)
        desired = scaler.decide(desired, now, settled=True)
        history.append(desired)
    assert waiting < arriving
    late = history[300:]
    assert len(set(late)) == 1
    assert late[0] * 10 >= arriving
    # Down only after a quiet time: never up and down and up again.
    ups = [later > earlier for earlier, later in pairwise(history) if earlier != later]
    assert ups == sorted(ups, reverse=True)
