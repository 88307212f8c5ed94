"""Every fault at random under a steady load, for SOAK_MINUTES; `make soak`.

    SOAK_MINUTES=5 SOAK_SEED=7 python -m tests.soak

It has a broker and workers of its own, and an engine that takes no time. Exit code 0: every request
had its right outcome, memory is flat, nothing is left over. The seed repeats the choice of faults,
not the moments at which they strike.
"""

import os
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pika

from tests.leftovers import listening_addresses, processes_with
from tests.serving import running
from tests.soak.faults import MAX_PROCESSES, Faults, worker_processes
from tests.soak.ledger import Ledger
from tests.soak.memory import Memory
from tests.soak.traffic import ClientTraffic, RawTraffic
from worker.broker.embedded import EmbeddedBroker
from worker.broker.topology import Topology, declare
from worker.client import FerClient
from worker.config import BrokerConfig

LOG = Path("build/soak/workers.log")

PAUSE_S = (0.5, 4.0)
"""Shortest and longest time between two faults."""

ANSWERS_TIMEOUT_S = 180.0
"""A frame that hangs has four times the hang timeout to go, and a pause after each."""

MOST_GROWTH_MIB = 16.0

LOOK_INTERVAL_S = 0.25

OPTIONS = (
    f"--processes={MAX_PROCESSES}",
    "--threads=1",
    "--prefetch=4",
    "--hang-timeout=5",
    "--drain-timeout=10",
)


@dataclass
class Record:
    """What a run has shown."""

    made: Counter[str]
    ledger: Ledger
    duplicates: int
    workers: Memory
    supervisor: Memory
    client: Memory
    left_over: list[str]

    def failures(self) -> list[str]:
        """What is not as it should be, in words."""
        found = [f"lost: {name}" for name in self.ledger.lost]
        found += [f"wrong: {text}" for text in self.ledger.wrong]
        found += [f"left over: {what}" for what in self.left_over]
        for who in ("workers", "supervisor", "client"):
            memory: Memory = getattr(self, who)
            if memory.growth_mib > MOST_GROWTH_MIB:
                found.append(f"{who} grew by {memory.growth_mib:.0f} MiB")
        return found

    def summary(self) -> list[str]:
        """The figures, in lines."""
        ledger = self.ledger
        outcomes = {
            "right": ledger.right,
            "wrong": len(ledger.wrong),
            "lost": len(ledger.lost),
            "of them redelivered": ledger.redelivered,
            "duplicates seen and dropped": self.duplicates,
        }
        return [
            f"faults      {self.made.total()}: {_counts(self.made)}",
            f"requests    {ledger.requests.total()}: {_counts(ledger.requests)}",
            f"outcomes    {_counts(outcomes)}",
            f"workers     {self.workers}",
            f"supervisor  {self.supervisor}",
            f"client      {self.client}",
            f"left over   {len(self.left_over)} processes, ports and files",
        ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def soak(minutes: float, seed: int) -> Record:
    """Run it."""
    chance = random.Random(seed)
    ledger = Ledger()
    workers_memory, supervisor_memory, client_memory = Memory(), Memory(), Memory()
    with EmbeddedBroker() as node:
        broker = BrokerConfig((node.url,), f"soak-{secrets.token_hex(4)}")
        declare(pika.URLParameters(node.url), Topology(broker.namespace))
        answer_timeout_s = 60 * minutes + ANSWERS_TIMEOUT_S
        with (
            running(LOG, broker, *OPTIONS, engine="FaultyEngine") as workers,
            FerClient(broker, answer_timeout_s=answer_timeout_s) as client,
        ):
            supervisor = workers.process.pid
            traffic, raw_traffic = ClientTraffic(client, ledger, chance), RawTraffic(broker, ledger)
            raw_traffic.begin()
            traffic.begin()
            faults = Faults(chance, node, broker, supervisor, traffic, raw_traffic)
            ends = time.monotonic() + 60 * minutes
            try:
                while time.monotonic() < ends:
                    strikes = time.monotonic() + chance.uniform(*PAUSE_S)
                    while time.monotonic() < strikes:
                        supervisor_memory.look([supervisor])
                        client_memory.look([os.getpid()])
                        workers_memory.look(worker_processes(supervisor))
                        time.sleep(LOOK_INTERVAL_S)
                    faults.make_one()
            finally:
                traffic.end()
            faults.restore()
            give_up = time.monotonic() + ANSWERS_TIMEOUT_S
            while ledger.lost and time.monotonic() < give_up:
                raw_traffic.collect()
                time.sleep(LOOK_INTERVAL_S)
            duplicates = ledger.duplicates + client.dropped
    ports = (node.ports.amqp, node.ports.distribution, node.ports.mapper)
    left_over = [
        *processes_with(broker.namespace).values(),
        *processes_with(str(node.data_dir)).values(),
        *(f"port {port}" for port in ports if listening_addresses(port)),
        *(str(folder) for folder in (node.data_dir,) if folder.exists()),
    ]
    return Record(
        faults.made,
        ledger,
        duplicates,
        workers_memory,
        supervisor_memory,
        client_memory,
        left_over,
    )


def main() -> int:
    """Run, print the summary, return the exit code."""
    minutes = float(os.environ.get("SOAK_MINUTES") or 1)
    seed = int(os.environ.get("SOAK_SEED") or secrets.randbelow(1_000_000))
    LOG.parent.mkdir(parents=True, exist_ok=True)
    print(f"soak        {minutes:g} min, seed {seed}, log {LOG}", flush=True)
    record = soak(minutes, seed)
    failures = record.failures()
    print("\n".join([*record.summary(), *failures[:20]]))
    print(f"{len(failures)} failures" if failures else "passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
