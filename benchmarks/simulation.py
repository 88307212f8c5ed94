"""Requests through the queue of a namespace and its worker processes, simulated with simpy.

What of the real system is in it: one queue, first in, first out; deliveries that go round the
processes with room, as RabbitMQ's do; a prefetch per process; one thread per process. What is not:
processes that slow each other down, and brokers that are slow themselves.
"""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import simpy

PREFETCH = 2
"""Of a process with one thread, as `fer-worker run` has it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    at_s: float
    """When it is sent."""
    service_s: float
    """How long a thread takes for it."""


Steps = Generator[simpy.Event, Any, None]


class _Process:
    def __init__(self, env: simpy.Environment) -> None:
        self.thread = simpy.Resource(env)
        self.room = PREFETCH


def simulate(requests: Sequence[Request], processes: int) -> list[float]:
    """Answer all requests; return how long each took, in seconds.

    Args:
        requests: in the order in which they are sent.
        processes: with one thread each.
    """
    env = simpy.Environment()
    waiting: deque[int] = deque()
    with_room = deque(_Process(env) for _ in range(processes))
    took_s = [0.0] * len(requests)

    def send() -> Steps:
        for number, request in enumerate(requests):
            yield env.timeout(request.at_s - env.now)
            waiting.append(number)
            deliver()

    def deliver() -> None:
        while waiting and with_room:
            process = with_room.popleft()
            process.room -= 1
            if process.room:
                with_room.append(process)
            env.process(serve(waiting.popleft(), process))

    def serve(number: int, process: _Process) -> Steps:
        with process.thread.request() as turn:
            yield turn
            yield env.timeout(requests[number].service_s)
        took_s[number] = env.now - requests[number].at_s
        process.room += 1
        if process.room == 1:
            with_room.append(process)
        deliver()

    env.process(send())
    env.run()
    return took_s
