"""What scripts/build --target builds: each platform's toolchain file, and what is told of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "native" / "cmake" / "platforms").glob("*.cmake"))
PRINTED = ["CMAKE_SYSTEM_NAME", "CMAKE_SYSTEM_PROCESSOR", "CMAKE_CXX_COMPILER", "LTX2_WHEEL",
           "CMAKE_AR", "CMAKE_RANLIB", "LTX2_RUNTIME_LICENSES"]  # fmt: skip
TARGETS = {"Linux": "linux-gnu", "Darwin": "macos", "Windows": "windows-gnu"}


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def platform(request: pytest.FixtureRequest) -> Path:
    file: Path = request.param
    return file


@pytest.fixture
def told(platform: Path, tmp_path: Path) -> dict[str, str]:
    """What the toolchain file sets, with a zig that does not run."""
    if not shutil.which("cmake"):
        pytest.skip("needs cmake")
    zig = tmp_path / "zig"
    zig.touch(mode=0o755)
    script = tmp_path / "script.cmake"
    lines = [f'message("{name}=${{{name}}}")' for name in PRINTED]
    script.write_text("\n".join([f'include("{platform.as_posix()}")', *lines]))
    command = ["cmake", f"-DLTX2_ZIG={zig.as_posix()}", "-P", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stderr.splitlines())


def test_a_toolchain_is_whole(told: dict[str, str]) -> None:
    assert "" not in told.values(), told
    names = {Path(file).parent.name for file in told["LTX2_RUNTIME_LICENSES"].split(";")[1:]}
    own = {"mingw"} if told["CMAKE_SYSTEM_NAME"] == "Windows" else set()
    assert names == {"libcxx", "libcxxabi", "libunwind"} | own


def test_the_wheel_is_of_the_system_that_is_compiled_for(
    platform: Path, told: dict[str, str]
) -> None:
    """The oldest glibc or macOS, and the processor, are the compiler's and the tag's."""
    *_, target = told["CMAKE_CXX_COMPILER"].split(";")
    processor, system = target.split("-", 1)
    version = "".join(re.findall(r"\d+\.\d+", system))
    assert system.startswith(TARGETS[told["CMAKE_SYSTEM_NAME"]])
    same = {"arm64": "aarch64", "AMD64": "x86_64"}
    assert same.get(told["CMAKE_SYSTEM_PROCESSOR"], told["CMAKE_SYSTEM_PROCESSOR"]) == processor
    wheel = {"linux": "manylinux_{}_" + processor, "macos": "macosx_{}_arm64",
             "windows": "win_amd64"}  # fmt: skip
    expected = wheel[platform.stem.split("-")[0]].format(version.replace(".", "_"))
    assert told["LTX2_WHEEL"] == expected


def test_every_platform_is_built_and_told_of() -> None:
    names = {file.stem for file in FILES}
    script = (ROOT / "scripts" / "build").read_text()
    (all_of_them,) = re.findall(r"for one in (.*); do", script)
    assert set(all_of_them.split()) == names
    page = (ROOT / "docs" / "building.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \|.*?\| `(\w+)` \|", page, re.MULTILINE))
    assert rows.keys() == names
    for file in FILES:
        assert f"set(LTX2_WHEEL {rows[file.stem]})" in file.read_text(), file
