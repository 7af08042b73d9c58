"""The writer: whatever fails or interrupts it, a name holds the old output or the new one."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ltx2
from ltx2 import media, writer

ENDINGS = [".mp4", ".gif", ".webp", ".png", ".npy"]
CALLS = (
    "access", "chmod", "chown", "close", "fstat", "fsync", "lstat", "mkdir", "open", "rename",
    "replace", "rmdir", "scandir", "stat", "unlink",
)  # fmt: skip


def clip(value: int) -> NDArray[np.uint8]:
    return np.full((2, 32, 32, 3), value, np.uint8)


def content(target: Path) -> dict[str, bytes]:
    """What a name holds: of a file, or of the files in a folder."""
    if target.is_dir():
        return {file.name: file.read_bytes() for file in sorted(target.iterdir())}
    return {"": target.read_bytes()}


@pytest.fixture(params=ENDINGS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An output that is there already; `wanted` is what a save makes of it."""
    target = tmp_path / f"clip{request.param}"
    media.save(target, clip(0), 24, {})
    return target


@pytest.fixture
def wanted(target: Path, tmp_path: Path) -> dict[str, bytes]:
    (tmp_path / "new").mkdir()
    media.save(tmp_path / "new" / target.name, clip(200), 24, {})
    return content(tmp_path / "new" / target.name)


def test_every_call_that_can_fail_leaves_the_old_or_the_new(
    target: Path, wanted: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call of the system in turn fails once, from the first to the last."""
    before, count, fail_at = content(target), 0, 0

    def failing(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == fail_at:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*arguments, **options)

        return call

    names = [name for name in CALLS if hasattr(os, name)]
    kept = target.parent / "new"
    while count >= fail_at:
        count, fail_at = 0, fail_at + 1
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: None)  # takes most of the time
            for name in names:
                patch.setattr(os, name, failing(getattr(os, name)))
            try:
                media.save(target, clip(200), 24, {})
                possible = [wanted]
            except (OSError, ltx2.InvalidArgumentError):
                possible = [before, wanted]
        assert content(target) in possible, fail_at
        if content(target) == wanted or set(target.parent.iterdir()) != {target, kept}:
            media.save(target, clip(0), 24, {})  # removes what a failed removal left
            assert set(target.parent.iterdir()) == {target, kept}
    assert fail_at > 30


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a file that Ctrl-C leaves to be closed
def test_an_interrupt_between_any_two_calls_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes before and after each function of C that runs while the writer does."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # takes most of the time
    for folder in (False, True):
        target = tmp_path / f"out{folder}"
        write(target, "old", folder=folder)
        before, stop_at, done = content(target), 0, False
        while not done:
            stop_at += 1
            done = interrupted(target, stop_at, folder=folder)
            assert content(target) in (before, dict.fromkeys(before, b"new")), stop_at
            assert not list(tmp_path.glob(".*")), stop_at
            if content(target) != before:
                write(target, "old", folder=folder)
        assert stop_at > 50


def write(target: Path, text: str, *, folder: bool) -> None:
    if folder:
        with writer.new_folder(target) as new:
            (new / "file").write_text(text)
    else:
        with writer.new_file(target) as new:
            new.write_text(text)


def interrupted(target: Path, stop_at: int, *, folder: bool) -> bool:
    """Whether the write was done before the interrupt came."""
    count = 0

    def profile(_frame: Any, event: str, function: Any) -> None:
        nonlocal count
        if event.startswith("c_") and function is not sys.setprofile:
            count += 1
            if count == stop_at:
                raise KeyboardInterrupt

    sys.setprofile(profile)
    try:
        write(target, "new", folder=folder)
    except KeyboardInterrupt:
        return False
    finally:
        sys.setprofile(None)
    return count < stop_at


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_replaced_with_and_without_an_exchange(
    exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if exchange and sys.platform not in ("linux", "darwin"):
        pytest.skip("needs Linux or macOS")
    used: list[bool] = []
    real = writer._exchange

    def swapped(one: Path, other: Path) -> bool:
        used.append(exchange and real(one, other))
        return used[-1]

    monkeypatch.setattr(writer, "_exchange", swapped)
    target = tmp_path / "out"
    write(target, "old", folder=True)
    write(target, "new", folder=True)
    assert used == [exchange]
    assert content(target) == {"file": b"new"}
    assert list(tmp_path.iterdir()) == [target]


def test_without_an_exchange_the_old_folder_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error or an interrupt between the two renames; after a kill, by the next run."""
    target = tmp_path / "out"
    write(target, "old", folder=True)
    monkeypatch.setattr(writer, "_exchange", lambda *_: False)
    real = Path.replace

    def replace(self: Path, to: Path) -> Path:
        if self.name == "new":
            raise KeyboardInterrupt
        return real(self, to)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        write(target, "new", folder=True)
    assert content(target) == {"file": b"old"}
    assert list(tmp_path.iterdir()) == [target]
    left = tmp_path / ".ltx2-0123456789abcdef"
    (left / "old").mkdir(parents=True)
    real(target, left / "old" / "out")
    writer.check(tmp_path / "another")
    assert content(target) == {"file": b"old"}
    assert list(tmp_path.iterdir()) == [target]


KILLED = (
    "import os, signal, sys\n"
    "from ltx2 import writer\n"
    "with writer.new_folder(sys.argv[1]) as new:\n"
    "    (new / '0000.png').write_text('half')\n"
    "    print('ready', flush=True)\n"
    "    sys.stdin.read()\n"
)


def test_what_a_killed_run_left_goes_and_a_live_one_s_stays(tmp_path: Path, command: None) -> None:
    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, tmp_path / "out.png"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    with start() as killed:
        [left] = tmp_path.iterdir()
        killed.kill()
    assert list(tmp_path.iterdir()) == [left]
    with start() as alive:
        [live] = tmp_path.iterdir()
        assert live != left
        media.save(tmp_path / "clip.npy", clip(0), 24, {})
        assert live.is_dir()
        alive.communicate("")
    assert {path.name for path in tmp_path.iterdir()} == {"clip.npy", "out.png"}


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    names = ["ltx2-0123456789abcdef", ".ltx2-x", ".ltx2-0123456789abcdef0", "clip.npy.part"]
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / ".ltx2-0000000000000000").write_text("a file")
    (tmp_path / ".ltx2-0000000000000001").symlink_to(tmp_path / names[0])
    (tmp_path / ".ltx2-0000000000000002").mkdir()
    (tmp_path / ".ltx2-0000000000000002" / "letter.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    writer.check(tmp_path / "clip.npy")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_link_is_followed_and_stays_a_link(target: Path, wanted: dict[str, bytes]) -> None:
    folder = target.parent / "links"
    folder.mkdir()
    link = folder / f"link{target.suffix}"
    link.symlink_to(Path("..") / target.name)
    media.save(link, clip(200), 24, {})
    assert link.is_symlink()
    assert content(target) == wanted
    free = folder / f"free{target.suffix}"
    free.symlink_to(folder / f"made{target.suffix}")
    media.save(free, clip(200), 24, {})
    assert content(folder / f"made{target.suffix}") == wanted


def test_permissions_are_those_of_any_new_file_or_of_the_old_one(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write(tmp_path / "file", "a", folder=False)
        write(tmp_path / "folder", "a", folder=True)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750
    (tmp_path / "file").chmod(0o604)
    write(tmp_path / "file", "b", folder=False)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o604


def test_what_is_no_place_for_a_file_is_refused(tmp_path: Path) -> None:
    pipe, loop = tmp_path / "pipe.npy", tmp_path / "loop.npy"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path, words in {
        pipe: "pipe.npy: is a device or a pipe",
        Path("/dev/null"): "is a device or a pipe",
        loop: "loop.npy: cannot be written: ",
        tmp_path / ("x" * 256): "too long",
        Path("nul\0.npy"): "is no path",
        tmp_path: "is a folder",
    }.items():
        with pytest.raises(ltx2.InvalidArgumentError, match=words):
            media.array_writer(path)
    assert set(tmp_path.iterdir()) == {pipe, loop}


def test_what_is_mounted_is_refused_before_the_work(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `docker run -v` does with a file or a folder: no other can take its place."""
    monkeypatch.setattr(os.path, "ismount", target.samefile)
    with pytest.raises(ltx2.InvalidArgumentError, match="is mounted there"):
        media.check_output(target)
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", ["a" * 251, "猫" * 83 + "xx", "a:b", "file:a", "%d", "-", "a\nb"])
def test_any_name_that_the_file_system_takes_is_written(
    name: str, ending: str, tmp_path: Path
) -> None:
    name = os.fsdecode(os.fsencode(name)[: 255 - len(ending)])
    media.save(tmp_path / (name + ending), clip(0), 24, {})
    want = ["0.png", "1.png"] if name + ending == "%d.png" else [name + ending]
    assert sorted(path.name for path in tmp_path.iterdir()) == want


def test_a_name_or_a_folder_need_not_be_letters(tmp_path: Path) -> None:
    if sys.platform == "darwin":
        pytest.skip("needs a file system that takes any bytes")
    folder = tmp_path / os.fsdecode(b"a:\xff")
    folder.mkdir()
    for ending in ENDINGS:
        media.save(folder / (os.fsdecode(b"\xfe") + ending), clip(0), 24, {})
    assert len(list(folder.iterdir())) == len(ENDINGS)


LIMITED = (
    "import resource, signal, sys\n"
    "import numpy as np\n"
    "from ltx2 import media\n"
    "frames = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), np.uint8)\n"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
    "for path in sys.argv[1:]:\n"
    "    try: media.save(path, frames, 24, {})\n"
    "    except OSError as error: print(error.errno, error)\n"
)


def test_a_disk_that_fills_leaves_the_old_output_of_every_format(
    tmp_path: Path, command: None
) -> None:
    """A bound on the size of a file fails as a full disk does: in the middle of a write."""
    targets = [tmp_path / f"clip{ending}" for ending in ENDINGS]
    for target in targets:
        media.save(target, clip(0), 24, {})
    before = [content(target) for target in targets]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *targets], check=True, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(targets)
    for line, target in zip(lines, targets, strict=True):
        assert line.startswith(f"{errno.EFBIG} ")
        assert str(target) in line
    assert [content(target) for target in targets] == before
    assert sorted(tmp_path.iterdir()) == sorted(targets)


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(target: Path, command: None) -> None:
    """A save again and again, each killed a little later; `wanted` is one of two videos."""
    program = (
        "import sys, numpy as np\n"
        "from ltx2 import media\n"
        "print('ready', flush=True)\n"
        "frames = [np.full((2, 32, 32, 3), value, np.uint8) for value in (0, 200)]\n"
        "while True:\n"
        "    for clip in frames: media.save(sys.argv[1], clip, 24, {})\n"
    )
    folder = target.parent / "new"
    folder.mkdir()
    media.save(folder / target.name, clip(200), 24, {})
    known = content(target), content(folder / target.name)
    random = np.random.default_rng(0)
    for _ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", program, target], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                process.wait(random.uniform(0, 0.3))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        assert content(target) in known
    writer.check(target.parent / "any")
    assert set(target.parent.iterdir()) == {target, folder}
