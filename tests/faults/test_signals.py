"""Fault 9: a supervisor that is told to stop, to stop at once, or to renew its processes."""

import os
import pty
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_worker.supervision.worker_config import ExitCode
from tests.engines import SLOW_HEIGHT, plain_jpeg
from tests.faults.load import steady_load
from tests.serving import RunningWorkers, Sender, command, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]


WORKERS = "tests.workers"

SLOW_JPEGS = [plain_jpeg(width, SLOW_HEIGHT) for width in range(30, 80, 5)]


def await_line(log: Path, words: str) -> None:
    wait_until(lambda: log.exists() and words in log.read_text(), 60, f"it logs {words}")


def says(workers: RunningWorkers, words: str) -> bool:
    return words in workers.log.read_text()


def test_sigterm_under_load_loses_nothing_and_answers_nothing_twice(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with (
        running(tmp_path / "leaving.log", broker, "--processes=2") as leaving,
        running(tmp_path / "staying.log", broker, "--processes=1") as staying,
        steady_load(broker) as load,
    ):
        leaving.await_ready(2)
        staying.await_ready(1)
        load.pile_up(100)
        leaving.process.terminate()
        assert leaving.process.wait(60) == 0
        load.goes_on()
        load.finish()
    assert load.client.dropped == 0


def test_sigterm_while_processes_start_is_an_ordinary_end(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    for number, pause_s in enumerate((0.0, 0.1, 0.3, 0.6)):
        log = tmp_path / f"{number}.log"
        with running(log, broker, "--processes=2", engine="FaultyEngine") as workers:
            await_line(log, "started process")
            time.sleep(pause_s)  # at another moment of its start
            workers.process.terminate()
            assert workers.process.wait(30) == 0
            assert not says(workers, "killed by")


def test_second_sigterm_leaves_at_once_and_others_answer_the_rest(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    frame = plain_jpeg(40, SLOW_HEIGHT)  # a tenth of a second each
    options = ("--processes=2", "--threads=1", "--prefetch=2")
    with (
        running(tmp_path / "leaving.log", broker, *options, engine="FaultyEngine") as leaving,
        FerClient(broker) as client,
        Sender(broker.urls[0], broker.namespace) as sender,
    ):
        leaving.await_ready(2)
        (right,) = client.analyze([frame], timeout_s=60).frames
        # Four seconds of work for each process; two batches more than they take.
        futures = [client.submit([frame] * 20) for _ in range(6)]
        wait_until(lambda: sender.depth(f"{broker.namespace}.frames") == 2)
        leaving.process.terminate()
        wait_until(lambda: says(leaving, "draining 2 processes"))
        assert not any(future.done() for future in futures)
        leaving.process.terminate()
        assert leaving.process.wait(20) == ExitCode.TOLD_TWICE
        assert says(leaving, "told twice; killing 2 processes")
        with running(tmp_path / "next.log", broker, *options, engine="FaultyEngine"):
            results = [future.result(90) for future in futures]
    assert [result.frames for result in results] == [(right,) * 20] * 6
    assert any(result.redelivered for result in results)


def test_drain_that_takes_too_long_is_cut_short_and_said(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    frame = plain_jpeg(40, SLOW_HEIGHT)  # a tenth of a second each
    options = ("--processes=1", "--threads=1", "--drain-timeout=1")
    with (
        running(tmp_path / "leaving.log", broker, *options, engine="FaultyEngine") as leaving,
        FerClient(broker) as client,
    ):
        leaving.await_ready(1)
        future = client.submit([frame] * 60)
        wait_until(lambda: leaving.status().processes[0].in_flight, 30, "it is taken")
        leaving.process.terminate()
        assert leaving.process.wait(30) == ExitCode.DRAIN_TIMED_OUT
        with running(tmp_path / "next.log", broker, "--processes=1", engine="FaultyEngine"):
            assert future.result(90).status == "success"


@dataclass
class Watch:
    """Looks again and again at how many processes take requests, until something is logged."""

    workers: RunningWorkers
    sender: Sender
    fewest: int

    def until_logged(self, pattern: str) -> list[str]:
        """Return what the pattern's group matched in the log."""
        found: list[str] = []

        def look() -> bool:
            frames = f"{self.sender.namespace}.frames"
            declared = self.sender.channel.queue_declare(frames, passive=True)
            self.fewest = min(self.fewest, declared.method.consumer_count)
            found[:] = re.findall(pattern, self.workers.log.read_text())
            return bool(found)

        wait_until(look, 120, f"it logs {pattern}")
        return found


@pytest.mark.parametrize("processes", [1, 2])
def test_sighup_replaces_every_process_and_none_is_missing_meanwhile(
    broker: BrokerConfig, tmp_path: Path, processes: int
) -> None:
    with (
        running(tmp_path / "workers.log", broker, f"--processes={processes}") as workers,
        Sender(broker.urls[0], broker.namespace) as sender,
        steady_load(broker) as load,
    ):
        before = workers.await_ready(processes)
        watch = Watch(workers, sender, fewest=processes)
        workers.process.send_signal(signal.SIGHUP)
        watch.until_logged("(all processes are replaced)")
        assert watch.fewest == processes
        assert not set(workers.await_ready(processes)) & set(before)
        load.goes_on()
        load.finish()
    assert load.client.dropped == 0


def test_process_is_kept_until_a_successor_is_ready_though_the_first_one_dies(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with (
        running(tmp_path / "workers.log", broker, "--processes=1") as workers,
        Sender(broker.urls[0], broker.namespace) as sender,
        steady_load(broker) as load,
    ):
        workers.await_ready(1)
        watch = Watch(workers, sender, fewest=1)
        workers.process.send_signal(signal.SIGHUP)
        (successor,) = watch.until_logged(r"one after the other\n.*started process (\d+)")
        os.kill(int(successor), signal.SIGKILL)
        watch.until_logged(f"(process {successor} died)")
        watch.until_logged("(all processes are replaced)")
        assert watch.fewest == 1
        load.goes_on()
        load.finish()
    assert load.client.dropped == 0


def test_sigttin_adds_a_process_and_sigttou_takes_one_away(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    options = ("--processes=1", "--max-processes=2")
    with (
        running(tmp_path / "log", broker, *options, engine="FaultyEngine") as workers,
        steady_load(broker, SLOW_JPEGS, per_s=10) as load,
    ):
        workers.await_ready(1)
        for number, processes in (
            (signal.SIGTTIN, 2),
            (signal.SIGTTOU, 1),
            (signal.SIGTTOU, 0),
            (signal.SIGTTIN, 1),
        ):
            if number is signal.SIGTTOU:
                load.pile_up(20)  # where batches wait, the broker gives none back
            workers.process.send_signal(number)
            workers.await_ready(processes)
        load.goes_on()
        workers.process.send_signal(signal.SIGTTIN)
        workers.await_ready(2)
        workers.process.send_signal(signal.SIGTTIN)
        wait_until(lambda: says(workers, "told to run 3 processes: not between 0 and 2: 3"))
        load.finish()
        for processes in (1, 0):
            workers.process.send_signal(signal.SIGTTOU)
            workers.await_ready(processes)
        workers.process.send_signal(signal.SIGTTOU)
        wait_until(lambda: says(workers, "told to run -1 processes: not between 0 and 2: -1"))
        assert workers.status().restarts == 0
    assert load.client.dropped == 0
    assert not any(result.redelivered for result in load.results)


@dataclass
class InTerminal:
    """`fer-worker run` in a terminal of its own."""

    pid: int
    terminal: int
    exit_code: int | None = None

    def close_terminal(self) -> None:
        os.close(self.terminal)

    def wait(self) -> int:
        if self.exit_code is None:
            self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.exit_code


@contextmanager
def running_in_a_terminal(log: Path, broker: BrokerConfig, *arguments: str) -> Iterator[InTerminal]:
    """Run one process, with its log in a file, until the block ends."""
    line, environment = command(
        "FaultyEngine", "--processes=1", *arguments, broker=broker, module=WORKERS
    )
    pid, terminal = pty.fork()
    if pid == 0:
        output = os.open(log, os.O_CREAT | os.O_WRONLY)
        os.dup2(output, 2)
        os.execve(line[0], line, environment)
    started = InTerminal(pid, terminal)
    try:
        yield started
    finally:
        if started.exit_code is None:
            os.kill(pid, signal.SIGKILL)
            started.wait()


def test_the_end_of_its_terminal_drains(broker: BrokerConfig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running_in_a_terminal(log, broker) as supervisor:
        await_line(log, "ready: ")
        supervisor.close_terminal()
        assert supervisor.wait() == 0
    assert "left (0)" in log.read_text()


def test_the_end_of_its_terminal_that_is_told_twice_drains(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    frames = [plain_jpeg(40, SLOW_HEIGHT)] * 20  # a tenth of a second each
    with (
        running_in_a_terminal(log, broker, "--threads=1", "--prefetch=2") as supervisor,
        FerClient(broker) as client,
    ):
        await_line(log, "ready: ")
        futures = [client.submit(frames) for _ in range(2)]
        wait_until(lambda: sender.depth(f"{broker.namespace}.frames") == 0, 30, "both are taken")
        os.kill(supervisor.pid, signal.SIGHUP)  # as a shell passes it on
        await_line(log, "draining 1 processes")
        assert not any(future.done() for future in futures)
        supervisor.close_terminal()  # the kernel says it again
        assert supervisor.wait() == 0
        results = [future.result(30) for future in futures]
    assert [result.faces_areas for result in results] == [(40 * SLOW_HEIGHT,) * 20] * 2
    assert not any(result.redelivered for result in results)


def test_sighup_is_ignored_under_nohup(broker: BrokerConfig, tmp_path: Path) -> None:
    with running(tmp_path / "log", broker, "--processes=1", prefix=("nohup",)) as workers:
        before = workers.await_ready(1)
        workers.process.send_signal(signal.SIGHUP)
        workers.process.send_signal(signal.SIGTTIN)  # heard after it
        assert set(before) < set(workers.await_ready(2))
        assert not says(workers, "replacing")
