"""The source archive: all that is needed, so that a wheel of it needs no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GGML = Path("native") / "third_party" / "ggml"
NOT_IN_IT = (".ci/", ".github/")
BUILD = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"


def tracked() -> list[str]:
    command = ["git", "ls-files", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("needs a git checkout")
    return done.stdout.rstrip("\0").split("\0")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Made of a copy, whose build folder is its own; ggml is fetched unless it is here already."""
    pytest.importorskip("scikit_build_core")
    copy = tmp_path / "checkout"
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    if (ROOT / GGML).is_dir():
        shutil.copytree(ROOT / GGML, copy / GGML)
    subprocess.run([sys.executable, "-c", BUILD, str(tmp_path)], cwd=copy, check=True)
    (made,) = tmp_path.glob("ltx2-*.tar.gz")
    return made


@pytest.mark.slow
def test_a_wheel_of_the_archive_needs_no_network(archive: Path) -> None:
    with tarfile.open(archive) as opened:
        inside = {name.split("/", 1)[1] for name in opened.getnames() if "/" in name}
    assert inside >= {name for name in tracked() if not name.startswith(NOT_IN_IT)}
    assert (GGML / "CMakeLists.txt").as_posix() in inside
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    offline = {**os.environ, "PIP_NO_INDEX": "1"}  # also for whatever would fetch ggml
    subprocess.run([*pip, str(archive)], cwd=archive.parent, env=offline, check=True)
    (wheel,) = archive.parent.glob("ltx2-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "ltx2/serve/page/index.html" in names
    libraries = [name for name in names if "/native/lib" in name]
    assert any("ltx2." in Path(name).name for name in libraries)
