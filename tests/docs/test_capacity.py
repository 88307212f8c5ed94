"""The simulation of docs/capacity.md against what is known of queues. Nothing is timed here."""

from statistics import fmean

import pytest

from benchmarks.arrivals import due_times
from benchmarks.capacity import BUSY, P99_S, QUEUE_MB_S, Process, site
from benchmarks.simulation import PREFETCH, Request, simulate

SERVICE_S = 0.1


def at_once(number: int) -> list[Request]:
    return [Request(0.0, SERVICE_S)] * number


def test_one_process_takes_one_after_the_other() -> None:
    assert simulate(at_once(3), processes=1) == pytest.approx([0.1, 0.2, 0.3])


def test_processes_share_out_what_waits() -> None:
    assert max(simulate(at_once(40), processes=4)) == pytest.approx(10 * SERVICE_S)


def test_what_was_taken_ahead_waits_though_another_process_is_free() -> None:
    first = [Request(0.0, 1.0), *at_once(2 * PREFETCH - 1)]
    taken = simulate(first, processes=2)
    assert taken[2] == pytest.approx(1.0 + SERVICE_S)
    assert max(taken[1], taken[3]) == pytest.approx(2 * SERVICE_S)


@pytest.mark.parametrize("load", [0.5, 0.7])
def test_mean_wait_at_random_arrivals_is_that_of_the_theory(load: float) -> None:
    """Pollaczek-Khinchine for constant service times (M/D/1): S load / (2 (1 - load))."""
    requests = [Request(at_s, SERVICE_S) for at_s in due_times(load / SERVICE_S, 4_000)]
    waits = fmean(simulate(requests, processes=1)) - SERVICE_S
    assert waits == pytest.approx(SERVICE_S * load / (2 * (1 - load)), rel=0.05)


def test_two_processes_do_twice_as_much_as_one() -> None:
    process = Process([SERVICE_S, 2 * SERVICE_S], path_s=0.0)
    assert process.most_per_s(1) == pytest.approx(1 / 0.15, rel=0.01)
    assert process.most_per_s(2) == pytest.approx(2 / 0.15, rel=0.01)


def test_a_site_has_cores_to_spare_and_as_many_namespaces_as_its_bytes_need() -> None:
    its = site(cameras=1_000, per_s=1, size=250_000, services_s=[0.02])
    assert its.mb_per_s == 250
    assert its.namespaces == -(-its.mb_per_s // QUEUE_MB_S)
    assert its.cores * BUSY >= its.frames_per_s * 0.02
    assert its.p99_s <= P99_S
