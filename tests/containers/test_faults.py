"""What is stopped, restarted and replaced under load: every batch gets its right answer."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pika
import pytest

from tests.containers.engine import IMAGES, PROJECT, ROOT, Stack, docker
from tests.faults.load import SteadyLoad, steady_load
from tests.pages import blocks
from tests.waiting import wait_until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]


@contextmanager
def batches(stack: Stack) -> Iterator[SteadyLoad]:
    """A load that one process can bear."""
    with steady_load(stack.broker, per_s=10) as load:
        load.goes_on()
        yield load


@contextmanager
def consumers(stack: Stack) -> Iterator[list[int]]:
    """How many read the requests while the block runs, asked again and again."""
    seen: list[int] = []
    over = threading.Event()

    def look() -> None:
        with pika.BlockingConnection(pika.URLParameters(stack.broker.urls[0])) as connection:
            channel = connection.channel()
            while not over.wait(0.1):
                declared = channel.queue_declare("fer.frames", passive=True)
                seen.append(declared.method.consumer_count)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_workers_that_are_stopped_leave_nothing_to_deliver_again(stack: Stack) -> None:
    with batches(stack) as load:
        stack.compose("stop", "worker")
        assert [container["ExitCode"] for container in stack.containers("worker")] == [0]
        stack.compose("start", "worker")
        load.goes_on()
    assert not any(result.redelivered for result in load.results)


def test_restarted_broker_loses_nothing(stack: Stack) -> None:
    with batches(stack) as load:
        stack.compose("restart", "rabbitmq")
        load.goes_on(timeout_s=120)


def test_queue_is_still_there_after_down_and_up(stack: Stack) -> None:
    with batches(stack) as load:
        stack.compose("stop", "worker")
        filled = load.submitted + 30
        wait_until(lambda: load.submitted >= filled, 60, "requests wait in the queue")
        (command,) = (line for line in deployment() if line.endswith("down"))
        run(stack, command)
        assert stack.containers() == []
        stack.compose("--profile", "http", "--profile", "monitoring", "up", "--detach", "--wait")
        load.goes_on(timeout_s=120)


def test_upgrade_as_the_page_says_leaves_no_moment_without_workers(stack: Stack) -> None:
    (upgrade,) = (
        block.commands
        for block in blocks(ROOT / "docs" / "deployment.md")
        if "docker compose build worker" in block.commands
    )
    # Those that run have an image of another name: the new version is that of the stack.
    docker("tag", IMAGES["worker"], f"{PROJECT}:old")
    stack.up("worker", WORKERS="2", WORKER_IMAGE=f"{PROJECT}:old")
    old = {container["ID"] for container in stack.containers("worker")}
    with batches(stack) as load, consumers(stack) as seen:
        run(stack, "\n".join(upgrade), WORKERS="2")
        load.goes_on()
    new = stack.containers("worker")
    assert {container["Image"] for container in new} == {IMAGES["worker"]}
    assert len(new) == 2
    assert not {container["ID"] for container in new} & old
    assert min(seen) > 0
    assert not any(result.redelivered for result in load.results)


def deployment() -> Iterator[str]:
    """The commands of docs/deployment.md."""
    for block in blocks(ROOT / "docs" / "deployment.md"):
        yield from block.commands


def run(stack: Stack, commands: str, **settings: str) -> None:
    """Run shell commands of a page, on this stack."""
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=ROOT,
        env=stack.environment(**settings),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
