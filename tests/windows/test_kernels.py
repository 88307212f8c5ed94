"""The compiled code on Windows."""

import json

import pytest

from tests.frames import FOLDER
from tests.windows.answers import answers
from tests.windows.programs import PYTHON, ROOT, finished

pytestmark = [pytest.mark.windows, pytest.mark.timeout(300)]


def test_every_kernel_sees_on_windows_what_it_sees_here() -> None:
    script = str(ROOT / "tests" / "windows" / "answers.py")
    done = finished(PYTHON, script, str(FOLDER), broker=None)
    assert done.returncode == 0, done.stderr
    there, here = json.loads(done.stdout), answers(FOLDER)
    assert there.keys() == here.keys()
    for kernel, pictures in here.items():
        assert there[kernel].keys() == pictures.keys()
        for name, faces in pictures.items():
            found = there[kernel][name]
            assert [face["box"] for face in found] == [face["box"] for face in faces]
            for one, other in zip(found, faces, strict=True):
                assert one["scores"] == pytest.approx(other["scores"], rel=0, abs=1e-6)
