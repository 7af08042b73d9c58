"""What `pip install .` leaves behind: used from within the checkout, and whose code it carries.

The installed package is emulated in a virtual environment of its own, so that its version can be
wrong; where the package is installed, as by scripts/check, that one is tried as well.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

import ltx2
from ltx2 import _native

ROOT = Path(__file__).parents[1]
PACKAGE = Path(ltx2.__file__).parent
WHERE = "import ltx2, ltx2._native as n; ltx2.devices(); print(ltx2.__file__, n.library_path)"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the package's sources alone, as git has them."""
    folder = tmp_path / "checkout"
    shutil.copytree(
        PACKAGE, folder / "ltx2", ignore=shutil.ignore_patterns("native", "__pycache__")
    )
    return folder


@dataclass
class Installed:
    """A virtual environment with the package."""

    python: str
    site: Path

    def ran(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return ran(*arguments, cwd=cwd, python=self.python)


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    """As pip makes it; what the package needs is that of this test run."""
    context = venv.EnvBuilder(symlinks=os.name == "posix").ensure_directories(tmp_path / "venv")
    venv.create(tmp_path / "venv", symlinks=os.name == "posix")
    base = {"base": context.env_dir, "platbase": context.env_dir}
    site = Path(sysconfig.get_path("platlib", "nt" if os.name == "nt" else "posix_prefix", base))
    (site / "others.pth").write_text("\n".join(path for path in sys.path if "-packages" in path))
    ignored = shutil.ignore_patterns("native", "__pycache__", "demo")
    shutil.copytree(PACKAGE, site / "ltx2", ignore=ignored)
    native = site / "ltx2" / "native"
    native.mkdir()
    for file in (_native.library_path, _native.header_path):
        shutil.copy(file, native)
    about = site / f"ltx2-{ltx2.__version__}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Name: ltx2\nVersion: {ltx2.__version__}\n")
    return Installed(context.env_exe, site)


def ran(
    *arguments: str, cwd: Path, python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    """Python there, as in a shell where nothing is set."""
    unset = ("LTX2_LIBRARY", "LTX2_MODEL", "PYTHONPATH", "PYTHONSAFEPATH")
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    line = [python, *arguments]
    return subprocess.run(
        line, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def used(checkout: Path, installed: Installed, said: str) -> bool:
    """The checkout's files with the installed library."""
    files = (checkout / "ltx2" / "__init__.py", installed.site / "ltx2" / "native")
    return all(str(file) in said for file in files)


def test_the_checkout_is_a_good_place_to_work_in(checkout: Path, installed: Installed) -> None:
    (checkout / "script.py").write_text(WHERE)
    (checkout / "test_it.py").write_text(f"def test():\n    {WHERE}\n")
    for line in (["-c", WHERE], ["script.py"], ["-m", "pytest", "-q", "-s", "test_it.py"]):
        done = installed.ran(*line, cwd=checkout)
        assert done.returncode == 0, done.stdout + done.stderr
        assert used(checkout, installed, done.stdout)
    done = installed.ran("-m", "ltx2", "devices", cwd=checkout)
    assert (done.returncode, done.stderr) == (0, "")
    assert "CPU" in done.stdout


NOTEBOOK = f"""
import nbclient, nbformat
book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell({WHERE!r})])
nbclient.NotebookClient(book, timeout=300).execute()
print(book.cells[0].outputs[0]["text"])
"""


def test_the_checkout_is_a_good_place_for_notebooks(checkout: Path, installed: Installed) -> None:
    for name in ("nbclient", "ipykernel"):
        pytest.importorskip(name, reason=f"needs {name}, of the extra dev")
    done = installed.ran("-c", NOTEBOOK, cwd=checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert used(checkout, installed, done.stdout)


def test_a_library_that_is_older_than_the_checkout_is_refused(
    checkout: Path, installed: Installed
) -> None:
    header = checkout / "native" / "include" / "ltx2.h"
    header.parent.mkdir(parents=True)
    shutil.copy(_native.header_path, header)
    assert installed.ran("-c", WHERE, cwd=checkout).returncode == 0
    header.write_text(header.read_text(encoding="utf-8") + "/* and more */\n", encoding="utf-8")
    words = installed.ran("-c", WHERE, cwd=checkout).stderr.splitlines()[-1]
    assert f"{installed.site / 'ltx2' / 'native'}, of another ltx2.h" in words
    assert f"`{installed.python} -m pip install .`" in words


def test_a_library_of_another_version_is_refused(checkout: Path, installed: Installed) -> None:
    init = checkout / "ltx2" / "__init__.py"
    init.write_text(init.read_text().replace(f'"{ltx2.__version__}"', '"9.9.9"'))
    done = installed.ran("-c", WHERE, cwd=checkout)
    words = done.stderr.splitlines()[-1]
    assert words.startswith("ImportError: ltx2: ")
    for part in (
        installed.site,
        f"version {ltx2.__version__} ",
        checkout,
        "9.9.9",
        "pip install .",
    ):
        assert str(part) in words
    done = installed.ran("-m", "ltx2", "devices", cwd=checkout)
    assert done.returncode == 70
    assert done.stderr.startswith("ltx2: ") and done.stderr.count("\n") == 1


@pytest.fixture
def distribution() -> metadata.Distribution:
    try:
        return metadata.distribution("ltx2")
    except metadata.PackageNotFoundError:
        pytest.skip("the package is not installed")


@pytest.mark.usefixtures("distribution")
def test_this_checkout_is_a_good_place_to_work_in() -> None:
    done = ran("-c", WHERE, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(ROOT / "ltx2" / "__init__.py"))


def test_the_readme_leads_somewhere_on_a_package_index(
    distribution: metadata.Distribution,
) -> None:
    text = str(distribution.metadata.json["description"])
    urls = dict(line.split(", ") for line in distribution.metadata.get_all("Project-URL") or [])
    ours = f"{urls['Source']}/(raw|blob)/v{ltx2.__version__}/([^)#]+)"
    files = re.findall(rf"\]\({ours}\)", text)
    assert ("raw", "docs/demo.png") in files
    assert [name for _, name in files if not (ROOT / name).is_file()] == []
    assert re.findall(r"\]\((?!https://).+?\)", text) == []


def test_the_readme_compiles_its_c_program(moved: Path, model: str) -> None:
    """Its own lines, with the library that is there in place of the one it builds."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```c\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (lines,) = re.findall(r"^cmake --install.*\n((?:.+\n)+?)```$", text, re.MULTILINE)
    folder = moved.parent
    moved.rename(folder / ".local")
    (folder / "program.c").write_text(program)
    demo = folder / "ltx2" / "demo"
    demo.mkdir(parents=True)
    for file in map(Path, model.split(os.pathsep)):
        (demo / f"{file.name}.gguf").symlink_to(file)
    assert "frames of" in built("env", f"HOME={folder}", "sh", "-euc", lines, cwd=folder)


def test_no_other_build_uses_the_folder_of_pips() -> None:
    """What pip's leaves there names a ninja that is gone, and another generator stops pip's."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (taken,) = re.findall(r'^build-dir = "(.+)"$', project, re.MULTILINE)
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), ROOT / "scripts" / "build"]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    folders = re.findall(r"(?:cmake .*-B |^ *build=)(\S+)", text, re.MULTILINE)
    assert len(folders) >= 5
    assert taken not in folders


# ---- whose code it carries


def test_the_wheel_carries_the_notices(distribution: metadata.Distribution) -> None:
    files = {str(file): file for file in distribution.files or []}
    notices = [name for name in files if ".dist-info/licenses/" in name]
    assert {Path(name).name for name in notices} == {"LICENSE", "ggml.txt"}
    for name in notices:
        source = ROOT / name.split(".dist-info/licenses/")[1]
        assert files[name].read_text() == source.read_text(encoding="utf-8")


def test_the_wheel_is_told_to_carry_the_notices() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^license-files = \[(.*)\]", text, re.MULTILINE)
    named = {path for pattern in re.findall(r'"(.+?)"', listed) for path in ROOT.glob(pattern)}
    assert named == {ROOT / "LICENSE", *(ROOT / "native" / "licenses").iterdir()}


def test_the_install_tree_carries_the_notices() -> None:
    """Also that of a C program, and of prebuilds."""
    tree = _native.library_path.parents[1]
    if not (tree / "share").is_dir():
        pytest.skip("the library does not lie in an install tree")
    notice = tree / "share" / "licenses" / "ltx2" / "ggml.txt"
    assert notice.read_bytes() == (ROOT / "native" / "licenses" / "ggml.txt").read_bytes()


def test_all_whose_code_is_linked_in_are_named() -> None:
    """Of ggml's parts that can be built here, by the sources of the pinned version."""
    cache = Path(os.environ.get("LTX2_BUILD", ROOT / "build")) / "CMakeCache.txt"
    text = cache.read_text() if cache.exists() else ""
    given = re.search(r"^LTX2_GGML_SOURCE:PATH=(.+)$", text, re.MULTILINE)
    ggml = Path(given[1]) if given else ROOT / "native" / "third_party" / "ggml"
    if not ggml.is_dir():
        pytest.skip("needs ggml's sources")
    notice = (ROOT / "native" / "licenses" / "ggml.txt").read_text(encoding="utf-8")
    assert (ggml / "LICENSE").read_text(encoding="utf-8") in notice
    folders = ["src", "src/ggml-cpu", "src/ggml-cpu/arch/*", "src/ggml-cpu/llamafile",
               "src/ggml-vulkan", "src/ggml-metal", "src/ggml-cuda"]  # fmt: skip
    files = [file for name in folders for file in ggml.glob(f"{name}/*.*") if file.is_file()]
    assert len(files) > 100
    lines = [line for file in files for line in file.read_text(errors="replace").splitlines()]
    holders = {m[0].strip(" .") for line in lines if (m := re.search(r"Copyright .*\d{4}.*", line))}
    assert holders
    assert [holder for holder in holders if holder not in notice] == []


# ---- programs of others, against what a wheel unpacks to

PROGRAM = """
#include <ltx2.h>
#include <iostream>
#include <vector>

int main(int argc, char ** argv) {
    const std::vector<const char *> files(argv + 1, argv + argc);
    ltx2_session_params open = {};
    ltx2_video_params want = {};
    open.size = sizeof open;
    open.files = files.data();
    open.file_count = files.size();
    want.size = sizeof want;
    want.prompt = "a red circle";
    want.width = want.height = 64;
    want.frames = 9;
    want.audio = -1;
    ltx2_session * session = nullptr;
    ltx2_video * video = nullptr;
    const bool made = !ltx2_session_open(&open, &session) &&
                      !ltx2_session_generate(session, &want, &video);
    std::cout << (made ? video->frames : 0) << (made ? "" : ltx2_last_error()) << "\\n";
    ltx2_video_free(video);
    ltx2_session_close(session);
}
"""
PROJECT = f"""
cmake_minimum_required(VERSION 3.24)
project(theirs LANGUAGES C CXX)
find_package(ltx2 {ltx2.__version__} REQUIRED)
add_executable(in_c "{ROOT / "examples" / "c" / "t2v.c"}")
add_executable(in_cpp program.cpp)
foreach(program in_c in_cpp)
    target_link_libraries(${{program}} PRIVATE ltx2::ltx2)
endforeach()
"""


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """The installed tree in another place, with a program beside it."""
    shutil.copytree(_native.header_path.parents[1], tmp_path / "moved", symlinks=True)
    (tmp_path / "program.cpp").write_text(PROGRAM)
    return tmp_path / "moved"


def built(*command: str | Path, cwd: Path) -> str:
    if not shutil.which(command[0]):
        pytest.skip(f"needs {command[0]}")
    line = [str(part) for part in command]
    done = subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def runs(folder: Path, model: str) -> None:
    files = model.split(os.pathsep)
    assert built(folder / "in_cpp", *files, cwd=folder) == "9\n"
    failed = subprocess.run([folder / "in_c", "p", "no.gguf"], capture_output=True, check=False)
    assert (failed.returncode, failed.stderr) == (1, b"t2v: no.gguf: there is no such file\n")


def test_programs_find_the_moved_tree_with_cmake(moved: Path, model: str) -> None:
    (moved.parent / "CMakeLists.txt").write_text(PROJECT)
    build = moved.parent / "build"
    built("cmake", "-S", ".", "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={moved}",
          cwd=moved.parent)  # fmt: skip
    built("cmake", "--build", build, cwd=moved.parent)
    runs(build, model)


def test_programs_find_the_moved_tree_with_pkg_config(
    moved: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = moved.parent
    monkeypatch.setenv("PKG_CONFIG_PATH", str(moved / "lib" / "pkgconfig"))
    assert built("pkg-config", "--modversion", "ltx2", cwd=folder).strip() == ltx2.__version__
    flags = built("pkg-config", "--cflags", "--libs", "ltx2", cwd=folder).split()
    assert f"-L{moved}" in "".join(flags).replace("/lib/pkgconfig/../..", "")
    flags.append(f"-Wl,-rpath,{moved / 'lib'}")
    built("cc", ROOT / "examples" / "c" / "t2v.c", *flags, "-o", "in_c", cwd=folder)
    built("c++", "-std=c++11", "program.cpp", *flags, "-o", "in_cpp", cwd=folder)
    runs(folder, model)
