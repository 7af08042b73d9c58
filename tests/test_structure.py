"""The shape of the code: who may include whom, and how long a file may be."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

import ltx2

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "native" / "src"

# The folder is the stage. A folder may include its own files and those of folders on lower floors.
FLOORS = [
    {"base"},
    {"files"},
    {"kernels", "sampling", "model"},
    {"graph"},
    {"text", "dit", "vae", "audio"},
    {"."},
]


def test_scripts_that_name_their_interpreter_can_be_run() -> None:
    scripts = [p for p in (ROOT / "scripts").iterdir() if p.is_file()]
    named = [p for p in scripts if p.read_bytes().startswith(b"#!")]
    assert named
    assert [p.name for p in named if not os.access(p, os.X_OK)] == []


def units() -> list[Path]:
    return sorted(p for p in SOURCE.rglob("*") if p.suffix in (".h", ".cpp", ".cu"))


def folder(path: Path) -> str:
    """The first folder below native/src; "." for the session and the C boundary."""
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else "."


def floor(path: Path) -> int:
    for i, folders in enumerate(FLOORS):
        if folder(path) in folders:
            return i
    pytest.fail(f"{path.relative_to(ROOT)} has no place in the direction of docs/architecture.md")


def includes(path: Path) -> list[Path]:
    names = re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE)
    return [SOURCE / name for name in names if (SOURCE / name).exists()]


@pytest.mark.parametrize("path", units(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_includes_point_one_way(path: Path) -> None:
    for other in includes(path):
        if folder(other) != folder(path):
            assert floor(other) < floor(path), f"{path} includes {other.relative_to(SOURCE)}"


def test_no_two_files_of_a_folder_include_each_other() -> None:
    """Headers form no circle, within a folder either."""
    below = {p: {q for q in includes(p) if q != p} for p in units() if p.suffix == ".h"}
    while free := [p for p, others in below.items() if not others]:
        for p in free:
            del below[p]
        for others in below.values():
            others.difference_update(free)
    assert not below


@pytest.mark.parametrize(
    ("words", "homes"),
    [
        ("getenv", {"graph/device.cpp"}),
        (r"ops\(\)\.matmul", {"graph/layers.cpp", "graph/calibrate.cpp", "graph/trial.cpp"}),
        ("ggml_mul_mat", {"graph/ops_ggml.cpp"}),
        (r"device\w*(\(\))?\.exact\(\)", {"graph/graph.cpp"}),
        (r"own_kernels|\b(is|has)_[cg]pu\b", set()),
        (r"&(ggml_)?(cpu|gpu|cuda)_ops\b", {"graph/device.cpp"}),
        (r"ggml_(init|threadpool_new|graph_compute_with_ctx|gallocr_new)\b", set()),
        (r"ggml_(init_in|threadpool_try_new|backend_buft_alloc_buffer)", {"graph/ggml_guard.cpp"}),
        ("ggml_backend_sched_", {"graph/gpu_runner.cpp", "graph/gpu_runner.h"}),
        ("thread_local", set()),
    ],
)
def test_some_words_have_one_home(words: str, homes: set[str]) -> None:
    """Who reads the environment, asks for a product, says which backend computes, ..."""
    found = {str(p.relative_to(SOURCE)) for p in units() if re.search(words, p.read_text())}
    assert found == homes


def test_a_part_is_named_in_the_table_and_in_its_own_folder() -> None:
    """Elsewhere it is `Component::part`; groups of a config may be called so too."""
    for part in ltx2.capabilities()["parts"]:
        quoted = f'"{part["id"]}"'
        homes = [p for p in units() if quoted in p.read_text() and p.parent.name != "builtin"]
        own = {folder(p) for p in homes if p != SOURCE / "model" / "parts.cpp"}
        assert SOURCE / "model" / "parts.cpp" in homes
        assert len(own) <= 1, f"{quoted} is in {homes}"
        assert not own & {".", "base", "files", "graph", "kernels", "model", "sampling"}, homes


def test_every_stage_that_is_reported_is_listed() -> None:
    calls = (re.findall(r'progress\("(\w+)"', p.read_text()) for p in units())
    assert {stage for stages in calls for stage in stages} == set(ltx2.capabilities()["stages"])


def test_only_graphs_include_kernels() -> None:
    for path in units():
        if folder(path) not in ("graph", "kernels"):
            assert "kernels" not in {folder(p) for p in includes(path)}, path


def tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return [ROOT / line for line in done.stdout.splitlines()]


@pytest.mark.parametrize("suffix", [".py", ".h", ".cpp", ".cu", ".c", ".cmake"])
def test_files_stay_under_500_lines(suffix: str) -> None:
    files = [p for p in tracked() if p.suffix == suffix and p.exists()]
    long = {p.name: n for p in files if (n := p.read_text().count("\n")) > 500}
    assert not long


def test_the_public_header_stays_under_400_lines() -> None:
    assert (ROOT / "native/include/ltx2.h").read_text().count("\n") <= 400


def test_the_top_level_holds_what_it_says() -> None:
    allowed = {
        "pyproject.toml", "native", "ltx2", "scripts", "prebuilds", "tests", "examples", "docs",
        "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
    }  # fmt: skip
    top = {p.relative_to(ROOT).parts[0] for p in tracked()}
    assert {name for name in top if not name.startswith(".")} <= allowed


def test_native_tests_lie_as_the_sources_do() -> None:
    """tests/native/<folder>/test_<unit>.cpp tests native/src/<folder>/<unit>."""
    tests = ROOT / "tests" / "native"
    tested = [p.relative_to(tests) for p in tests.rglob("test_*.cpp")]
    sources = {p.relative_to(SOURCE).with_suffix("") for p in units()}
    assert tested
    assert [p for p in tested if p.parent / p.stem.removeprefix("test_") not in sources] == []
