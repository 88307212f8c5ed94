"""Feed hostile bytes to the readers of messages and frames, guided by their coverage.

    make fuzz                                  FUZZ_INPUTS=1000000 of them, shared by all targets
    python -m tests.fuzz 100000                the same, fewer
    python -m tests.fuzz.one frames FILE       one input that crashed, again

Needs the extra [fuzz]. What is learnt is kept in `.fuzz` for the next run, and so is an input that
crashed. Exit code 1 if one did.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.seeds import SEEDS, WORDS

FOLDER = Path(__file__).parents[2] / ".fuzz"
LONGEST_INPUT = 4096
SLOWEST_INPUT_S = 10
MEMORY_MIB = 2048
LAST_WORDS = 4000

ROUND = 100_000
"""Inputs for one process: atheris 3.0 never frees the result of a comparison of arrays."""

_DONE = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_OF_THE_DECODER = ("Corrupt JPEG", "Premature end", "Invalid SOS", "Warning:", "Inconsistent ")
_UNDER_WAY = re.compile(r"^#(\d+)\s", re.MULTILINE)


def main(inputs: int) -> int:
    """Run every target in a process of its own; return the exit code."""
    done, crashed = 0, []
    for index, target in enumerate(SEEDS):
        share = (inputs * (index + 1)) // len(SEEDS) - (inputs * index) // len(SEEDS)
        ran, crash = _fuzz(target, share)
        done += ran
        print(f"{target}: {ran:,} inputs, {'a crash' if crash else 'no crash'}", flush=True)
        if crash is not None:
            crashed.append(target)
            print(crash)
    print(f"{done:,} inputs in all; crashed: {', '.join(crashed) or 'none'}")
    return 1 if crashed else 0


def _fuzz(target: str, inputs: int) -> tuple[int, str | None]:
    """Run a target; return how many inputs it got, and what it said if one crashed."""
    ran = 0
    while ran < inputs:
        code, said = _round(target, min(inputs - ran, ROUND))
        counts = _DONE.findall(said) or _UNDER_WAY.findall(said) or ["0"]
        ran += int(counts[-1])
        if code != 0:
            return ran, said[-LAST_WORDS:]
        if not int(counts[-1]):
            return ran, "the fuzzer ran nothing"
    return ran, None


def _round(target: str, inputs: int) -> tuple[int, str]:
    corpus = FOLDER / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[target]()):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = FOLDER / f"{target}.words"
    words.write_text("\n".join(f'"{_escaped(word)}"' for word in WORDS[target]) + "\n")
    command = [sys.executable, "-m", "tests.fuzz.one", target, str(corpus)]
    limits = [
        f"-runs={inputs}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={SLOWEST_INPUT_S}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-dict={words}",
        f"-artifact_prefix={FOLDER}/{target}-",
        "-print_final_stats=1",
    ]
    # To a file: the decoder of JPEGs has something to say of each that is damaged.
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        done = subprocess.run([*command, *limits], stdout=output, stderr=subprocess.STDOUT)
        output.seek(0)
        said = "".join(line for line in output if not line.startswith(_OF_THE_DECODER))
    return done.returncode, said


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
