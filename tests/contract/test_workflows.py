"""Workflows are valid, run what there is, and may no more than they must."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import check

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
EACH = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    return dict(workflow["jobs"])


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in jobs(path).values():
        yield from job.get("steps", [])


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
def test_jobs_may_no_more_than_they_say(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in workflow["jobs"].values():
        assert "write-all" not in str(job.get("permissions"))
        assert workflow["permissions"] or "permissions" in job


@EACH
def test_targets_that_are_made_exist(path: Path) -> None:
    for step in steps(path):
        for line in step.get("run", "").splitlines():
            if line.startswith(("make ", "fer-worker ")):
                check(line)
