"""What a soak has shown."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.soak.ledger import Ledger
from tests.soak.memory import Memory

MOST_GROWTH_MIB = 16.0


@dataclass
class Record:
    """It is filled while the soak goes on."""

    minutes: float = 0.0
    """How long faults were made."""
    made: Counter[str] = field(default_factory=Counter)
    """Faults by kind."""
    ledger: Ledger = field(default_factory=Ledger)
    dropped: int = 0
    """Second answers that the client dropped."""
    supervisors: Memory = field(default_factory=Memory)
    workers: Memory = field(default_factory=Memory)
    client: Memory = field(default_factory=Memory)
    """The soak itself, of which the client is the most."""
    broken: list[str] = field(default_factory=list)
    """What faults led to and should not have, and what was left over, in words."""

    def failures(self) -> list[str]:
        """All that is not as it should be, in words."""
        found = [f"lost: {name}" for name in self.ledger.lost]
        found += [f"wrong: {text}" for text in self.ledger.wrong]
        found += self.broken
        for who in ("supervisors", "workers", "client"):
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
            "duplicates seen and dropped": ledger.duplicates + self.dropped,
        }
        return [
            f"faults      {self.made.total()} in {self.minutes:.1f} min: {_counts(self.made)}",
            f"requests    {ledger.requests.total()}: {_counts(ledger.requests)}",
            f"outcomes    {_counts(outcomes)}",
            f"supervisors {self.supervisors}",
            f"workers     {self.workers}",
            f"client      {self.client}",
        ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
