"""The compiled code on Windows."""

import json

import pytest

from tests.answers import FOLDER, answers
from tests.windows.programs import PYTHON, ROOT, finished

pytestmark = [pytest.mark.windows, pytest.mark.timeout(300)]

KERNELS = ["avx512_bf16", "avx512", "avx2", "baseline"]
"""Without AMX, which Linux alone is asked for."""


def test_every_kernel_sees_on_windows_what_it_sees_here() -> None:
    script = str(ROOT / "tests" / "answers.py")
    done = finished(PYTHON, script, str(FOLDER), *KERNELS, broker=None)
    assert done.returncode == 0, done.stderr
    there, here = json.loads(done.stdout), answers(FOLDER, KERNELS)
    assert there.keys() == here.keys()
    for frame, faces in here.items():
        assert [face["box"] for face in there[frame]] == [face["box"] for face in faces], frame
        for face, other in zip(faces, there[frame], strict=True):
            assert other["probability"] == pytest.approx(face["probability"], rel=0, abs=1e-6)
            assert other["scores"] == pytest.approx(face["scores"], rel=0, abs=1e-6)
