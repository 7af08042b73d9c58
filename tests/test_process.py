"""The command as a process: signals at any moment, streams that are missing or unwritable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="sends signals, closes descriptors"),
    pytest.mark.usefixtures("command", "model"),
]
SMALL = ["t2v", "a red circle", "-o", "clip.npy", "--frames", "1", "--steps", "1", "--seed", "1",
         "--width", "32", "--height", "32", "--no-audio"]  # fmt: skip
ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def begun(program: list[str], folder: Path, word: str, **options: Any) -> subprocess.Popen[str]:
    """Running, and come so far that it has said the word on stderr."""
    process = subprocess.Popen(program, cwd=folder, stderr=subprocess.PIPE, text=True, **options)
    assert process.stderr is not None
    while word not in process.stderr.readline():
        assert process.poll() is None
    return process


# ---- signals

# Work that stands still where a progress function is called, and a clean-up that takes a while.
STANDS_STILL = """
import sys, time
from pathlib import Path
from ltx2 import __main__, _process
from ltx2.commands import terminal
def show(bars, progress):
    _process.check()
    Path("begun").touch()
    try:
        _process.say("begun")
        time.sleep(60)
    finally:
        _process.say("clean-up")
        time.sleep(0.3)
        Path("begun").unlink()
terminal.ProgressLine.show = show
sys.argv[1:] = sys.argv[2:]
sys.exit(__main__.main())
"""


def standing_still(folder: Path, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", STANDS_STILL, "ltx2", *map(str, arguments)]
    return begun(program, folder, "begun", **options)


@pytest.mark.parametrize("number", ENDS)
def test_a_signal_stops_the_work_and_another_does_not_stop_the_clean_up(
    number: signal.Signals, tmp_path: Path, tiny: dict[str, Path]
) -> None:
    convert = ["convert", str(tiny["base"]), "-o", "small.gguf"]
    for work in (SMALL, convert) if number == signal.SIGTERM else (SMALL,):
        with standing_still(tmp_path, *work) as process:
            process.send_signal(number)
            assert process.stderr is not None
            assert process.stderr.readline() == "ltx2: clean-up\n"
            for other in ENDS:
                process.send_signal(other)
            code, err = finished(process)
            assert (code, err.strip()) == (128 + number, "ltx2: cancelled")
        assert list(tmp_path.iterdir()) == []


# Work whose progress function drops what a library's destructor belongs to.
DROPS = """
import os, signal, sys
from ltx2 import __main__, _process
from ltx2.commands import terminal
class Dropped:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000): pass
show = terminal.ProgressLine.show
def drop(bars, progress):
    Dropped()
    assert _process.ended_by
    show(bars, progress)
terminal.ProgressLine.show = drop
sys.argv[1:] = sys.argv[2:]
sys.exit(__main__.main())
"""


def test_a_signal_within_a_destructor_is_not_lost(tmp_path: Path) -> None:
    program = [sys.executable, "-c", DROPS, "ltx2", *SMALL, "--json"]
    run = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 128 + signal.SIGTERM, run.stderr
    assert "ignored" not in run.stderr and run.stderr.endswith("\nltx2: cancelled\n")
    assert json.loads(run.stdout)["error"]["exit_code"] == run.returncode
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As nohup does with SIGHUP, and a shell's background jobs with SIGINT."""
    ignored = (signal.SIGHUP, signal.SIGINT)

    def ignore() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    with standing_still(tmp_path, *SMALL, preexec_fn=ignore) as process:
        for number in ignored:
            process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.kill()


# The import of NumPy, which takes longer than all else before the work, takes a minute.
SLOW_NUMPY = """
import sys, time
sys.stderr.write("importing\\n")
sys.stderr.flush()
time.sleep(60)
"""


@pytest.mark.parametrize("number", ENDS)
def test_a_signal_before_the_work_is_no_traceback(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text(SLOW_NUMPY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    for program in (
        ["ltx2", *SMALL],
        [sys.executable, "-c", "from ltx2.__main__ import main as m; m()"],
    ):
        with begun(program, tmp_path, "importing") as process:
            process.send_signal(number)
            assert finished(process) == (128 + number, "ltx2: cancelled\n")


def test_the_command_that_pip_installs_is_the_module_s() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert 'ltx2 = "ltx2.__main__:main"' in text


SWALLOWED = """
import os, signal, sys
from ltx2 import __main__
from ltx2.commands import terminal
show = terminal.ProgressLine.show
def swallows(bars, progress):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        pass
    show(bars, progress)
terminal.ProgressLine.show = swallows
sys.argv[1:] = sys.argv[2:]
sys.exit(__main__.main())
"""


def test_a_signal_that_a_library_swallows_is_raised_again(tmp_path: Path) -> None:
    line = [sys.executable, "-c", SWALLOWED, "ltx2", *SMALL]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (143, "ltx2: cancelled")
    assert list(tmp_path.iterdir()) == []


# ---- streams


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_the_work_is_done_without_anybody_to_tell(closed: str, tmp_path: Path) -> None:
    if "full" in closed and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    line = ["sh", "-c", f'exec ltx2 "$@" {closed}', "sh"]
    done = subprocess.run([*line, *SMALL], cwd=tmp_path, stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (
        0,
        b"" if closed.startswith((">", "<")) else b"clip.npy\n",
    )
    if closed == "2>&-":
        done = subprocess.run([*line, "convert", "none", "-o", "a.gguf"], cwd=tmp_path, check=False)
        assert done.returncode == 3
    assert [path.name for path in tmp_path.iterdir()] == ["clip.npy"]


MESSAGE_INTO_FILE = """
import os, sys
from ltx2 import _process
_process.begin()
with open("file", "w") as file:
    os.write(1, b"a message"), os.write(2, b"a message")
    sys.stderr.write("another")
    file.write("mine")
"""


def test_a_message_never_lands_in_a_file_that_was_opened(tmp_path: Path) -> None:
    """The first file opened gets the lowest descriptor that is free, which libraries write to."""
    (tmp_path / "program.py").write_text(MESSAGE_INTO_FILE)
    line = f'exec "{sys.executable}" program.py <&- >&- 2>&-'
    subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path, tiny: dict[str, Path]) -> None:
    for line in (f"info {tiny['base']}", "--help"):
        script = f"(sleep 0.2; ltx2 {line}; echo $? >&2) | true"
        done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True,
                              check=True)  # fmt: skip
        assert done.stderr == "141\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_answer_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    done = subprocess.run(["sh", "-c", 'ltx2 "$@" >/dev/full', "sh", *SMALL], cwd=tmp_path,
                          stderr=subprocess.PIPE, text=True, check=False)  # fmt: skip
    assert done.returncode == 6
    assert "No space left" in done.stderr.splitlines()[-1]
    assert (tmp_path / "clip.npy").exists()


CAUGHT = """
import sys
from ltx2 import _process
def work():
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        return 130
sys.exit(_process.run(work))
"""


def test_a_signal_during_an_import_gives_the_exit_code_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "caught.py").write_text(CAUGHT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    assert subprocess.run([sys.executable, "-m", "caught"], check=False).returncode == 130
