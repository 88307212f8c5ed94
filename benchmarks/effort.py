"""How much is measured: enough for the record, or a quick look."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Counts of everything that is repeated."""

    rounds: int = 5
    turn_s: float = 1.5
    """About how long a contestant works in one round."""
    frame_rounds: int = 3
    frame_turn_s: float = 0.4
    """The same for each frame by itself."""
    starts: int = 3
    memory_frames: int = 60
    growth_frames: int = 10_000
    """The growth is what comes after the first tenth of them."""
    messages: int = 3_000
    requests: int = 600
    """Of each round trip."""
    fer_requests: int = 20
    """The same where the fer library answers."""
    fer_rounds: int = 2
    batches: int = 24
    """For each median latency; a third of them where there is a whole table of it."""


FULL = Effort()

QUICK = Effort(
    rounds=2,
    turn_s=0.5,
    frame_rounds=1,
    frame_turn_s=0.2,
    starts=1,
    memory_frames=20,
    growth_frames=1_000,
    messages=1_000,
    requests=200,
    fer_requests=10,
    fer_rounds=1,
    batches=6,
)
