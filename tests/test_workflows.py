"""The workflows: what they run is a script of this repository, and what they use is pinned."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import release
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PACKAGING = {("pip", "install"), ("pip", "wheel"), ("pyproject-build", "--sdist")}


def read(file: Path) -> dict[str, Any]:
    content: dict[Any, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in content.items()}  # YAML 1.1's on


def jobs(file: Path) -> list[dict[str, Any]]:
    return list(read(file)["jobs"].values())


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(file) for step in job.get("steps", [])]


@pytest.fixture(params=WORKFLOWS, ids=lambda file: file.stem)
def workflow(request: pytest.FixtureRequest) -> Path:
    file: Path = request.param
    return file


def test_every_step_runs_a_script_of_this_repository(workflow: Path) -> None:
    for line in (step["run"] for step in steps(workflow) if "run" in step):
        assert "\n" not in line.strip(), line
        words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "X", line))
        if tuple(words[:2]) not in PACKAGING:
            assert re.match(r"scripts/\w+", words[0]), line
            assert os.access(ROOT / words[0], os.X_OK), line


def test_every_part_of_the_checks_that_is_asked_for_exists() -> None:
    """Those in the lines, and those that a matrix puts there."""
    text = "".join(file.read_text(encoding="utf-8") for file in WORKFLOWS)
    asked = re.findall(r"scripts/check ([\w ]+?)(?: \$\{\{|$)", text, re.MULTILINE)
    asked += re.findall(r"\bparts?: \[?([\w, ]+)", text)
    parts = {part for words in asked for part in re.findall(r"\w+", words)}
    assert parts >= {"install", "native", "sanitize", "kills", "soak", "reference"}
    defined = re.findall(r"^check_(\w+)\(\)", (ROOT / "scripts/check").read_text(), re.MULTILINE)
    assert parts <= set(defined)


def test_every_target_of_the_fuzzer_is_fuzzed() -> None:
    (job,) = jobs(ROOT / ".github" / "workflows" / "fuzz.yml")
    readers = {file.stem for file in (ROOT / "tests" / "fuzz" / "targets").glob("*.cpp")}
    assert set(job["strategy"]["matrix"]["target"]) == readers | {"generate", "convert"}


def test_actions_are_pinned_by_their_hash(workflow: Path) -> None:
    """With the version beside it, for those who read it."""
    used = re.findall(r"^ *(?:- )?uses: (.+)$", workflow.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(used) == sum("uses" in item for item in [*jobs(workflow), *steps(workflow)])
    for action in used:
        if action.startswith("./"):
            assert (ROOT / action).is_file(), action
        else:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_one_action_has_one_version() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in WORKFLOWS)
    pins = set(re.findall(r"uses: ([\w-]+/[\w-]+)@(.+)", text))
    assert len(pins) == len(dict(pins))


def test_permissions_are_few_and_nothing_runs_for_ever(workflow: Path) -> None:
    content = read(workflow)
    assert content["permissions"] == {"contents": "read"}
    assert "concurrency" in content or "workflow_call" in content["on"]
    for job in jobs(workflow):
        written = {name for name, access in job.get("permissions", {}).items() if access == "write"}
        assert not written or workflow.stem == "release"
        assert "uses" in job or job["timeout-minutes"] <= 300
    for step in steps(workflow):
        if "actions/checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_no_secret_is_used(workflow: Path) -> None:
    assert "secrets." not in workflow.read_text(encoding="utf-8")


# ---- the notes of a release

CHANGES = """# Changelog

## Unreleased

## 1.2.0 - 2026-11-26

- one

### Added

- two

## 1.1.0

- old
"""


def test_the_notes_are_the_section_of_the_version() -> None:
    assert release.notes(CHANGES, "1.2.0") == "- one\n\n### Added\n\n- two\n"
    assert release.notes(CHANGES, "1.1.0") == "- old\n"
    for version in ("1.2", "2.0.0", "Unreleased"):
        with pytest.raises(SystemExit, match="says nothing of"):
            release.notes(CHANGES, version)


def test_a_tag_of_another_version_is_refused() -> None:
    source = (ROOT / "ltx2" / "__init__.py").read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match=r"v9\.9\.9: the package is of version"):
        release.checked("v9.9.9", source)
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "release.py")], capture_output=True, check=False
    )
    assert done.returncode != 0
