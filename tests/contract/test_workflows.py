"""Workflows are valid, run what there is, and may no more than they must."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import check

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
EACH = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def read(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return workflow


def test_workflows_are_valid() -> None:
    schema = ["--builtin-schema", "vendor.github-workflows"]
    command = [sys.executable, "-m", "check_jsonschema", *schema, *map(str, WORKFLOWS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@EACH
def test_actions_of_others_are_pinned_by_commit_with_their_version(path: Path) -> None:
    for used in re.findall(r"uses: (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        assert used.startswith("./") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d[\d.]*", used)


@EACH
def test_a_job_may_no_more_than_read_unless_it_says_so(path: Path) -> None:
    assert read(path)["permissions"] in ({}, {"contents": "read"})
    assert all(isinstance(job.get("permissions", {}), dict) for job in read(path)["jobs"].values())


@EACH
def test_targets_that_are_made_exist(path: Path) -> None:
    for job in read(path)["jobs"].values():
        for step in job.get("steps", []):
            for line in step.get("run", "").splitlines():
                if line.startswith("make "):
                    check(line)
