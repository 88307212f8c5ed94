"""Frames per second: fer and this worker's engine take turns on the same JPEG files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from benchmarks.contenders import AVX2_ONLY, Contender, both_options, engine, fer
from benchmarks.effort import Effort
from benchmarks.fer_library import Heights
from benchmarks.machine import chosen_kernel, cores
from benchmarks.pictures import Picture, jpegs
from benchmarks.report import Cell, Row, Target
from benchmarks.rounds import Rounds, median_ratio, repeats, take_turns
from benchmarks.team import Team
from fer_schemas import FaceSelection
from fer_worker.inference.native.kernels import VARIABLE
from fer_worker.supervision.cpu_plan import plan

FER: Final = "fer, threads"
FER_PROCESSES: Final = "fer, processes"

AVX2: Final = "avx2"
"""What nearly all x86 CPUs of ten years have. It is measured too where a CPU has more."""

KERNELS_OF_GUESSES: Final = ("amx_bf16", "avx512_bf16")
"""Those that guess with fewer bits, and have higher targets."""

LARGE_FACE: Final = 1 / 6
"""Height of the largest face of a `large` frame, as a share of the frame's: so much or more."""


@dataclass(frozen=True)
class Throughput:
    """What was measured."""

    rows: tuple[Row, ...]
    rounds: dict[str, Rounds]
    """Frames/s of every contestant, by set of pictures."""
    same_answers: bool
    """Whether `--compat fer` found the faces that fer found, to the pixel."""


def measure(pictures: Sequence[Picture], effort: Effort) -> Throughput:
    """Measure the whole set, its frames with a large face, and each frame by itself."""
    with ExitStack() as held:
        teams = {name: held.enter_context(Team(made)) for name, made in _contenders().items()}
        found = teams[FER].lap(jpegs(pictures)).answers
        same_answers = teams["all, compat"].lap(jpegs(pictures)).answers == found

        sets = {"mixed set": list(pictures)}
        if large := [p for p, faces in zip(pictures, found, strict=True) if is_large(p, faces)]:
            sets["large faces"] = large
        rounds = {
            name: race(teams, members, effort.rounds, effort.turn_s)
            for name, members in sets.items()
        }

        firsts = {name: team for name, team in teams.items() if name.startswith((FER, "first, "))}
        frames = {
            picture.name: race(
                firsts, [picture] * cores(), effort.frame_rounds, effort.frame_turn_s
            )
            for picture in pictures
        }
    return Throughput(tuple(_rows(rounds, frames)), rounds | frames, same_answers)


def is_large(picture: Picture, faces: Heights) -> bool:
    """Whether a picture is a frame of 720p or more with a large face."""
    return picture.height >= 720 and bool(faces) and faces[0] >= picture.height * LARGE_FACE


def _contenders() -> dict[str, Contender]:
    shared_out = plan(cores())  # as `fer-worker run` does it
    made = {
        FER: fer(processes=1, threads=cores()),
        FER_PROCESSES: fer(processes=cores(), threads=1),
    }
    selections: tuple[FaceSelection, ...] = ("first", "all")
    for faces in selections:
        for column, options in both_options(faces).items():
            own = engine(options, shared_out.processes, shared_out.threads)
            made[f"{faces}, {column}"] = replace(own, environment={VARIABLE: chosen_kernel()})
    if chosen_kernel() not in (AVX2, "baseline"):
        for name in (FER, "first, default", "all, default"):
            made[f"{name}, {AVX2}"] = replace(made[name], environment=AVX2_ONLY)
    return made


def race(
    teams: Mapping[str, Team], pictures: Sequence[Picture], rounds: int, turn_s: float
) -> Rounds:
    """Measure frames/s of every team.

    A turn begins with a lap that is not counted: who has waited finds caches cold, and on some
    virtual machines memory, too.

    Args:
        teams: who takes turns.
        pictures: a lap; a turn has as many laps as take about `turn_s` seconds.
        rounds: turns of each.
        turn_s: see `pictures`.
    """

    def entrant(team: Team) -> Callable[[], float]:
        lap = jpegs(pictures)
        team.lap(lap)
        turn = lap * repeats(team.lap(lap).seconds, turn_s)

        def measure() -> float:
            team.lap(lap)
            return team.lap(turn).rate

        return measure

    return take_turns({name: entrant(team) for name, team in teams.items()}, rounds)


def _rows(rounds: Mapping[str, Rounds], frames: Mapping[str, Rounds]) -> Iterator[Row]:
    yield from _kernels("first face, mixed set", rounds["mixed set"], "first", 20, 10)
    if "large faces" in rounds:
        yield from _kernels("first face, large faces", rounds["large faces"], "first", 30, 20)
    yield from _kernels("all faces, mixed set", rounds["mixed set"], "all", 10, 5)
    singles = [
        list(_kernels(f"first face, worst frame ({name})", frames[name], "first", 6, 4))
        for name in frames
    ]
    for same_kernel in zip(*singles, strict=True):
        yield min(same_kernel, key=_worst_ratio)


def _kernels(
    name: str, rounds: Rounds, faces: FaceSelection, times: float, times_avx2: float
) -> Iterator[Row]:
    """The row of the kernel that is chosen here, and that of AVX2 where it is another."""
    bound = times if chosen_kernel() in KERNELS_OF_GUESSES else times_avx2
    compat = _cell(rounds, f"{faces}, compat", FER)
    yield _row(name, rounds, FER, compat, f"{faces}, default", bound)
    if (fer_avx2 := f"{FER}, {AVX2}") in rounds:
        yield _row(
            f"{name}, {AVX2} only", rounds, fer_avx2, None, f"{faces}, default, {AVX2}", times_avx2
        )


def _row(
    name: str, rounds: Rounds, reference: str, compat: Cell | None, default: str, bound: float
) -> Row:
    return Row(
        name=name,
        unit="frames/s",
        reference=median(rounds[reference]),
        compat=compat,
        default=_cell(rounds, default, reference),
        target=Target(of="ratio", kind="at least", bound=bound),
    )


def _cell(rounds: Rounds, contender: str, reference: str) -> Cell:
    own = rounds[contender]
    return Cell(value=median(own), ratio=median_ratio(own, rounds[reference]))


def _worst_ratio(row: Row) -> float:
    return min(cell.ratio or 0.0 for cell in (row.compat, row.default) if cell is not None)
