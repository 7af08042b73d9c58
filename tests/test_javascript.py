"""The addon for Bare and the example for Node: the frames are Python's, and nothing ends the host.

Builds the addon of the library that these tests use, with scripts/build_bare.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ltx2
from ltx2 import _native

if not os.environ.get("LTX2_JAVASCRIPT"):
    pytest.skip("needs npm: scripts/check javascript runs these", allow_module_level=True)

ROOT = Path(__file__).parents[1]
BARE = ROOT / "examples" / "bare"
NODE = ROOT / "examples" / "node"
SCRIPTS = ROOT / "tests" / "javascript"
PROMPT = "a red circle moves right on a blue background"
SIZE: dict[str, Any] = {"width": 64, "height": 64, "frames": 9}  # as frames.js has it
CASES = re.findall(r"^  async (\w+)\(", (SCRIPTS / "misuse.js").read_text(), re.MULTILINE)


def run(*command: str | Path, cwd: Path) -> str:
    line = [str(part) for part in command]
    done = subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def bare() -> Path:
    """The runtime; the addon is built."""
    run(ROOT / "scripts" / "build_bare", _native.header_path.parents[1], cwd=ROOT)
    (program,) = (BARE / "node_modules").glob("bare-runtime-*/bin/bare*")
    program.chmod(0o755)  # as it is in the package, only its owner's launcher can start it
    return program


@pytest.fixture
def files(model: str) -> list[str]:
    return model.split(os.pathsep)


def test_frames_are_those_of_python(bare: Path, files: list[str], tmp_path: Path) -> None:
    out = [tmp_path / "t2v", tmp_path / "i2v", tmp_path / "sound"]
    said = json.loads(run(bare, SCRIPTS / "frames.js", *out, *files, cwd=tmp_path))
    with ltx2.Session(files, threads=2) as session:
        t2v = session.t2v(PROMPT, seed=2**64 - 1, **SIZE)
        image = (t2v.frames[8], 0.5)
        i2v = session.i2v(PROMPT, image, crf=0, seed=0, guidance=0, audio=False, **SIZE)
    for file, video in zip(out[:2], (t2v, i2v), strict=True):
        assert np.array_equal(np.fromfile(file, np.uint8), video.frames.ravel())
    heard = np.fromfile(out[2], np.float32)
    assert np.array_equal(heard, [] if t2v.audio is None else t2v.audio.ravel())
    frames, height, width, _ = i2v.frames.shape
    assert said["about"] == {"frames": frames, "height": height, "width": width, "fps": i2v.fps}
    assert said["bytes"] == i2v.frames.size
    assert {told["stage"] for told in said["told"]} <= set(ltx2.capabilities()["stages"])
    assert said["told"][-1]["stage"] == "decode"
    assert all(0 <= told["done"] <= told["total"] for told in said["told"])


@pytest.mark.parametrize("case", CASES)
def test_nothing_ends_the_host(bare: Path, files: list[str], case: str, tmp_path: Path) -> None:
    printed = run(bare, "--expose-gc", SCRIPTS / "misuse.js", case, *files, cwd=tmp_path)
    assert printed == ("" if case.startswith("exit") else f"{case} is as it should be\n")


def shown(*pictures: Path) -> np.ndarray:
    assert pictures
    return np.concatenate([np.asarray(Image.open(picture)).ravel() for picture in pictures])


def made_in_python(files: list[str]) -> np.ndarray:
    with ltx2.Session(files) as session:
        return session.t2v("a red circle moves right", seed=1).frames.ravel()


def test_the_demo(bare: Path, files: list[str], tmp_path: Path) -> None:
    run(bare, BARE / "demo.js", *files, cwd=tmp_path)
    assert np.array_equal(shown(*sorted(tmp_path.glob("*.ppm"))), made_in_python(files))


def test_node(files: list[str], tmp_path: Path) -> None:
    run("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", cwd=NODE)
    run("node", NODE / "t2v.js", _native.library_path, *files, cwd=tmp_path)
    assert np.array_equal(shown(tmp_path / "t2v.ppm"), made_in_python(files))


def test_the_blocks_of_the_documentation_run(bare: Path, files: list[str], tmp_path: Path) -> None:
    page = (ROOT / "docs" / "javascript.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```js\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    code = "".join(blocks).replace("require('ltx2')", f"require({json.dumps(str(BARE))})")
    script = tmp_path / "blocks.js"
    script.write_text(f"async function main (files) {{\n{code}}}\nmain(Bare.argv.slice(2))\n")
    printed = run(bare, script, *files, cwd=tmp_path).splitlines()
    assert printed[0] == "25 128 128 8"
    assert printed[-1].startswith("INVALID_ARGUMENT width: 500")
