"""Code for one instruction set never ends up where another one is meant."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "worker/fer_worker/inference/native"
AVX512 = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma")

pytestmark = pytest.mark.packaging


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the options are those of x86-64")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("baseline", ()),
        ("avx2", ("-mavx2", "-mfma")),
        ("avx512", AVX512),
        ("avx512_bf16", (*AVX512, "-mavx512bf16")),
        ("amx_bf16", (*AVX512, "-mavx512bf16", "-mamx-tile", "-mamx-bf16")),
    ],
)
def test_an_instruction_set_shares_no_function_with_others(
    name: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    """Of a weak function the linker keeps one file's. Unoptimised, none hides by being inlined."""
    made = tmp_path / "made.o"
    compiler = ["c++", "-std=c++17", "-O0", "-Wno-psabi", *options, "-c", "-o", str(made)]
    subprocess.run([*compiler, str(NATIVE / f"{name}.cpp")], check=True)
    symbols = subprocess.run(["nm", made], check=True, capture_output=True, text=True).stdout
    kinds = {(line.split()[-2], line.split()[-1]) for line in symbols.splitlines()}
    assert any(kind == "t" for kind, _ in kinds)
    assert [symbol for kind, symbol in kinds if kind in "Wu"] == []
