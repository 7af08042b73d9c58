"""The examples run, as a reader would run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltx2 import _native

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def example(folder: Path, name: str, *arguments: str) -> str:
    return run(folder, sys.executable, "-W", "error", str(EXAMPLES / name), *arguments)


def test_every_example_has_a_test_and_is_short() -> None:
    """Of the addon for Bare, which is more, its demo; tests/test_javascript.py runs it."""
    listed = run(EXAMPLES, "git", "ls-files", "-co", "--exclude-standard").splitlines()
    names = [name for name in listed if not name.startswith("bare/") or name == "bare/demo.js"]
    assert set(names) == {
        "t2v.py", "i2v.py", "edit.py", "cancel.py", "c/t2v.c", "c/CMakeLists.txt", "bare/demo.js",
        "node/t2v.js", "node/package.json",
    }  # fmt: skip
    for name in names:
        assert len((EXAMPLES / name).read_text().splitlines()) < 40, name


def test_t2v_then_i2v(tmp_path: Path, model: str, command: None) -> None:
    printed = example(tmp_path, "t2v.py", "a red circle moves right", "t2v.png")
    assert "t2v.png: Video(" in printed
    printed = example(tmp_path, "i2v.py", "t2v.png/0000.png", "a red circle moves right", "i2v.mp4")
    assert "i2v.mp4: Video(" in printed
    assert (tmp_path / "i2v.mp4").stat().st_size > 0


def test_edit(tmp_path: Path, model: str, command: None) -> None:
    printed = example(tmp_path, "edit.py").splitlines()
    assert [line.split(",")[1] for line in printed] == [" 25 frames", " 25 frames", " 33 frames"]
    assert (tmp_path / "longer.mp4").stat().st_size > 0


def test_cancel(tmp_path: Path, model: str, command: None) -> None:
    printed = example(tmp_path, "cancel.py").splitlines()
    assert printed[0] == "cancelled"
    assert printed[1].startswith("Video(")


def test_an_external_cmake_project_builds_the_c_example(tmp_path: Path, model: str) -> None:
    for tool in ("cmake", "ninja", "cc"):
        if not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    tree = _native.header_path.parents[1]  # lib/, include/
    configure = [
        "-G",
        "Ninja",
        f"-DCMAKE_PREFIX_PATH={tree}",
        "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror",
    ]
    run(tmp_path, "cmake", "-S", str(EXAMPLES / "c"), "-B", "build", *configure)
    run(tmp_path, "cmake", "--build", "build")
    run(tmp_path, "build/t2v", "a red circle moves right", *model.split(os.pathsep))
    pictures = sorted(tmp_path.glob("*.ppm"))
    with Image.open(pictures[-1]) as image:
        last = np.asarray(image)
    assert len(pictures) % 8 == 1
    assert last.shape[2] == 3
    assert last.std() > 0
    failed = subprocess.run(
        [str(tmp_path / "build" / "t2v"), "p", "none.gguf"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert "none.gguf" in failed.stderr
