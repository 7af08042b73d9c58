"""ltx2.convert: what becomes of the target when the work is stopped, killed or out of space."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors_file import write_safetensors

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


def test_a_full_disk_is_told_with_the_file_and_leaves_none(
    source: Path, tmp_path: Path, command: None
) -> None:
    """A bound on the size of a file fails as a full disk does: in the middle of a write."""
    program = (
        "import resource, signal, sys\n"
        "from ltx2.convert import convert\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))\n"
        "try: convert(sys.argv[1], sys.argv[2], 'f32')\n"
        "except OSError as error:\n"
        "    told = (error.filename, error.strerror.lower())\n"
        "    sys.exit(told != (sys.argv[2], 'could not be written: file too large'))\n"
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


def test_no_source_can_be_the_target(source: Path, tmp_path: Path) -> None:
    """Not by another name either, nor one within a folder, nor one whose name is no text."""
    folder = tmp_path / "model"
    folder.mkdir()
    whole = source.resolve().read_bytes()
    inner = folder / os.fsdecode(
        b"\xff.safetensors" if sys.platform == "linux" else b"f.safetensors"
    )
    inner.write_bytes(whole)
    (tmp_path / "link.gguf").symlink_to(inner)
    (tmp_path / "hard.gguf").hardlink_to(inner)
    for target in (inner, tmp_path / "link.gguf", tmp_path / "hard.gguf"):
        for sources in (folder, inner, [inner]):
            with pytest.raises(ltx2.InvalidArgumentError, match="is a source itself"):
                convert(sources, target)
    assert inner.read_bytes() == whole


def test_what_is_read_besides_cannot_be_the_target(tiny: dict[str, Path], tmp_path: Path) -> None:
    """A file of which nothing is kept, and what stands beside a text encoder."""
    gemma = tmp_path / "gemma"
    model = convert(tiny["base"], tmp_path / "model.gguf", "f32", audio=False)
    shutil.copytree(tiny["base"].parent / "gemma", gemma)
    sound = write_safetensors(
        tmp_path / "sound.safetensors",
        {
            "vocoder.vocoder.conv_pre.weight": ("F32", np.zeros((8, 128, 7), np.float32)),
            "vocoder.vocoder.conv_post.weight": ("F32", np.zeros((2, 8, 7), np.float32)),
        },
    )
    cases: list[tuple[Any, Path, bool]] = [
        ([model, sound], sound, False),
        (gemma, gemma / "tokenizer.json", True),
        (gemma, gemma / "config.json", True),
    ]
    for sources, target, audio in cases:
        before = target.read_bytes()
        with pytest.raises(ltx2.InvalidArgumentError, match="is a source itself"):
            convert(sources, target, audio=audio)
        assert target.read_bytes() == before


def test_nothing_is_written_where_the_source_lies(source: Path, tmp_path: Path) -> None:
    folder, other = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    other.mkdir()
    shutil.copy(source.resolve(), folder)
    os.utime(folder, (1, 1))
    convert(folder, other / "a.gguf")
    assert folder.stat().st_mtime == 1  # what is made in a folder, or removed, shows here


def test_a_name_may_be_as_long_as_the_system_takes(source: Path, tmp_path: Path) -> None:
    longest = tmp_path / ("a" * 250 + ".gguf")  # 255
    assert convert(source, longest).stat().st_size > 0
    with pytest.raises(ltx2.InvalidArgumentError, match="cannot be written"):
        convert(source, tmp_path / ("a" * 251 + ".gguf"))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([longest.name, source.name])


def test_the_target_may_lie_on_another_file_system(source: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == source.resolve().stat().st_dev:
        pytest.skip("needs a second file system")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        made = convert(source, Path(folder) / "a.gguf")
        assert [p.name for p in Path(folder).iterdir()] == [made.name]


def test_a_conversion_stopped_while_a_piece_is_written_leaves_nothing(
    source: Path, tmp_path: Path
) -> None:
    """The pieces are written by a thread of their own, which ends first."""
    before = threading.active_count()

    def stop(_progress: ltx2.Progress) -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        convert(source, tmp_path / "a.gguf", progress=stop)
    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == [source]


def test_without_another_thread_the_file_is_the_same(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = convert(source, tmp_path / "a.gguf").read_bytes()

    def no_more(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    assert convert(source, tmp_path / "b.gguf").read_bytes() == wanted
