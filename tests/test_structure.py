"""The shape of the code: who may include whom, and how long a file may be."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "native" / "src"

# A unit may include units of lower rank, or its own rank's where they are one component's parts.
RANKS = [
    {"error", "log", "progress", "scratch", "noise", "geometry", "json", "config", "text",
     "unicode", "unicode_word", "exp", "gemma_config"},
    {"model_file", "mapping", "gguf", "safetensors", "describe", "image", "npy_file", "rotary"},
    {"device", "threads"},
    {"weights", "model_names", "model_tables", "model_paths", "model_gemma"},
    {"graph", "kernels"},
    {"nn", "attend"},
    {"sampler"},
    {"component"},
    {"model_set"},
    {"session"},
    {"api"},
]  # fmt: skip
COMPONENTS = {
    "tokenizer": ("tokenizer", "bpe", "added_tokens", "sentencepiece"),
    "gemma": ("gemma",),
    "connector": ("connector", "features"),
    "dit": ("dit",),
    "video_vae": ("video_vae", "vae"),
}


def test_scripts_that_name_their_interpreter_can_be_run() -> None:
    scripts = [p for p in (ROOT / "scripts").iterdir() if p.is_file()]
    named = [p for p in scripts if p.read_bytes().startswith(b"#!")]
    assert named
    assert [p.name for p in named if not os.access(p, os.X_OK)] == []


def units() -> list[Path]:
    return sorted(p for p in SOURCE.rglob("*") if p.suffix in (".h", ".cpp"))


def component(unit: str) -> str | None:
    if any(unit in names for names in RANKS):
        return None
    for name, prefixes in COMPONENTS.items():
        if unit.startswith(prefixes):
            return name
    return None


def rank(path: Path) -> int:
    unit = "kernels" if "kernels" in path.relative_to(SOURCE).parts else path.stem
    if component(unit):
        unit = "component"
    for i, names in enumerate(RANKS):
        if unit in names:
            return i
    pytest.fail(f"{path.relative_to(ROOT)} has no place in the direction of docs/architecture.md")


def includes(path: Path) -> list[Path]:
    names = re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE)
    found = [p for n in names for p in (path.parent / n, SOURCE / n) if p.exists()]
    return list(dict.fromkeys(p.resolve() for p in found))


@pytest.mark.parametrize("path", units(), ids=lambda p: p.name)
def test_includes_point_one_way(path: Path) -> None:
    for other in includes(path):
        if other.stem == path.stem:
            continue
        mine, theirs = component(path.stem), component(other.stem)
        if mine and theirs:
            assert mine == theirs, f"{path.name} includes {other.name}: components stay apart"
        else:
            assert rank(other) <= rank(path), f"{path.name} includes {other.name}"


def tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return [ROOT / line for line in done.stdout.splitlines()]


@pytest.mark.parametrize("suffix", [".py", ".h", ".cpp", ".c", ".cmake"])
def test_files_stay_under_500_lines(suffix: str) -> None:
    files = [p for p in tracked() if p.suffix == suffix and p.exists()]
    long = {p.name: n for p in files if (n := p.read_text().count("\n")) > 500}
    assert not long


def test_the_public_header_stays_under_200_lines() -> None:
    assert (ROOT / "native/include/ltx2.h").read_text().count("\n") <= 200


def test_the_top_level_holds_what_it_says() -> None:
    allowed = {
        "pyproject.toml", "native", "ltx2", "scripts", "prebuilds", "tests", "examples", "docs",
        "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
    }  # fmt: skip
    top = {p.relative_to(ROOT).parts[0] for p in tracked()}
    assert {name for name in top if not name.startswith(".")} <= allowed
