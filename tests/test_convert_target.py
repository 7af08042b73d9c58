"""ltx2.convert: what becomes of the target when the work is stopped, killed or out of space."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ltx2
from ltx2.convert import convert


@pytest.fixture
def source(tiny: dict[str, Path], tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    path.symlink_to(tiny["base"])
    return path


def test_an_interruption_leaves_the_target_as_it_was(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    target.write_bytes(b"before")

    def stop(_progress: ltx2.Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, target, progress=stop)
    assert target.read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gguf", source.name]


SLOW = (
    "import sys, time\n"
    "from ltx2.convert import convert\n"
    "def wait(_): print('ready', flush=True); time.sleep(60)\n"
    "convert(sys.argv[1], sys.argv[2], progress=wait)\n"
)


def test_what_a_killed_conversion_left_is_removed_by_the_next(
    source: Path, tmp_path: Path, command: None
) -> None:
    target = tmp_path / "a.gguf"
    line: list[str | Path] = [sys.executable, "-c", SLOW, source, target]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert len(list(tmp_path.iterdir())) == 2
    convert(source, target)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gguf", source.name]


def test_a_full_disk_leaves_no_file(source: Path, tmp_path: Path, command: None) -> None:
    """A bound on the size of a file fails as a full disk does: in the middle of a write."""
    program = (
        "import resource, signal, sys\n"
        "from ltx2.convert import convert\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))\n"
        "try: convert(sys.argv[1], sys.argv[2], 'f32')\n"
        "except OSError as error: sys.exit(0 if 'too large' in str(error) else 2)\n"
        "sys.exit(3)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, source, tmp_path / "a.gguf"], check=False, cwd=tmp_path
    )
    assert run.returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == [source.name]


def test_too_little_space_is_told_before_any_work(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltx2.writer.shutil.disk_usage", lambda _: _Usage(1000))
    with pytest.raises(OSError, match=r"needs .* GiB, 0\.0 GiB are free"):
        convert(source, tmp_path / "a.gguf")


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free
