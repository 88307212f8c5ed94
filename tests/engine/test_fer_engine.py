"""What the fer engine says where it cannot start. What it answers is in test_reference.py."""

import sys
from dataclasses import replace
from typing import Any

import pytest

from fer_client.errors import EngineError
from fer_worker.inference.factory import create_engine
from fer_worker.inference.types import EngineOptions


@pytest.mark.parametrize("library", ["facenet_pytorch", "torch", "fer"])
def test_a_missing_library_is_named_with_what_to_install(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("facenet_pytorch", "torch", "fer", "fer.fer"):
        monkeypatch.setitem(sys.modules, module, type(sys)(module))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EngineError, match=rf"{library}.*pip install ./client '\.\[fer\]'"):
        create_engine(EngineOptions.as_fer("fer"))


def test_a_crop_that_fer_cannot_do_is_refused() -> None:
    with pytest.raises(EngineError, match="--compat fer"):
        create_engine(EngineOptions("fer", crop="aligned"))


@pytest.mark.parametrize("more", [{"views": 2}, {"views": 6}])
def test_alignment_and_views_that_fer_cannot_do_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="--compat fer"):
        create_engine(replace(EngineOptions.as_fer("fer"), **more))
